import type { Transfer } from "../source.ts";

/** Less than this is hardly worth its request, in bytes. */
const SHORT_BYTES = 64 * 1024;

/** Whether a part is that short, although more was requested: its source is asked for wholes. */
export function isShort(
  { start, end = Infinity, size = Infinity }: Pick<Transfer, "start" | "end" | "size">,
  requestedEnd: number,
): boolean {
  return end - start < Math.min(SHORT_BYTES, Math.min(requestedEnd, size) - start);
}
