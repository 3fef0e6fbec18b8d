import { Fault, type FaultKind } from "../../oci/fault.ts";
import type { Source, Transfer } from "./source.ts";

/** How a source answers that does not send a part of what it would send as a whole. */
const REFUSALS: ReadonlySet<FaultKind> = new Set(["invalid-range", "upstream-invalid-response"]);

export interface PartOptions {
  /** Exclusive; without it, the rest. */
  readonly end: number | undefined;
  /** Of the blob in bytes, if it is known. */
  readonly size: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Opens a part of a blob; all of it if the source refuses to send a part from the first byte on, or does not say
 * how much there is.
 *
 * @throws Fault
 */
export async function openPart(
  source: Source,
  first: number,
  { end, size, signal }: PartOptions,
): Promise<Transfer> {
  try {
    const transfer = await source.open(first, signal, end, "own");
    if (transfer.end === undefined || (transfer.size ?? size) !== undefined) return transfer;
    await transfer.body.cancel();
  } catch (error) {
    const isRefusal = error instanceof Fault && REFUSALS.has(error.detail.kind);
    if (first > 0 || end === undefined || !isRefusal || signal.aborted) throw error;
  }
  return source.open(first, signal, undefined, "own");
}
