import type { Digest } from "../../oci/digest.ts";
import type { Blame } from "./blame.ts";
import type { Source, Transfer } from "./source.ts";

/** What a download expects of a response. */
export interface Expected {
  readonly digest: Digest;
  /** Of the blob in bytes, if it is known. */
  readonly size: number | undefined;
  /** Up to where the partial file has all bytes. */
  readonly offset: number;
}

/**
 * Checks size and offset of a response. Returns its surplus: the number of bytes at its beginning that the partial
 * file has already.
 *
 * @throws Fault if it does not fit to what is there
 */
export function surplusOf(
  transfer: Transfer,
  source: Source,
  { digest, size, offset }: Expected,
  blame: Blame,
): number {
  if (transfer.size !== undefined && size !== undefined && transfer.size !== size) {
    const reason = `it announced ${transfer.size} bytes for ${digest}, which has ${size}`;
    throw blame.invalidResponse(reason, source);
  }
  if (transfer.start > offset) {
    const reason = `it sent ${digest} from byte ${transfer.start} on instead of ${offset}`;
    throw blame.invalidResponse(reason, source);
  }
  return offset - transfer.start;
}
