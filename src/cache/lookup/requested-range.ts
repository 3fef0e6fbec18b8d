import type { Extent } from "../../store/extents.ts";
import type { RangeRequest } from "../../oci/range.ts";

/** Who asks for bytes from the first one up to here, or further, reads on: an offset in bytes. */
const MIN_WHOLE_BYTES = 1024 * 1024 - 1;

/** What a client wants, if that is less than all from the first byte on. */
export function partOf(request: RangeRequest | undefined, size = 0): Extent | undefined {
  switch (request?.kind) {
    case "from": {
      const { first, last = Infinity } = request;
      return first === 0 && last === Infinity ? undefined : { first, end: last + 1 };
    }
    case "suffix":
      return { first: Math.max(0, size - request.length), end: size };
    default:
      return undefined;
  }
}

/** Whether a client is about to read all of the blob, in parts perhaps. Lazy pullers begin with two bytes. */
export function readsWhole(range: RangeRequest | undefined): boolean {
  if (range === undefined) return true;
  return range.kind === "from" && range.first === 0 && (range.last ?? Infinity) >= MIN_WHOLE_BYTES;
}
