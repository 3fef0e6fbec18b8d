import type { RangeRequest } from "../../oci/range.ts";

/** Who asks for bytes from the first one up to here, or further, reads on: an offset in bytes. */
const MIN_WHOLE_BYTES = 1024 * 1024 - 1;

/** Whether a client wants less than all from the first byte on. */
export function isPart(range: RangeRequest | undefined): boolean {
  return (
    range !== undefined && (range.kind !== "from" || range.first > 0 || range.last !== undefined)
  );
}

/** Whether a client is about to read all of the blob, in parts perhaps. Lazy pullers begin with two bytes. */
export function readsWhole(range: RangeRequest | undefined): boolean {
  if (range === undefined) return true;
  return range.kind === "from" && range.first === 0 && (range.last ?? Infinity) >= MIN_WHOLE_BYTES;
}
