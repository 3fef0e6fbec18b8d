import { parseContentRange } from "../../oci/range.ts";
import { bodyLength } from "./header-checks.ts";

/** The part of a blob that a response's body holds. */
export interface BodyExtent {
  /** The offset of the body's first byte. */
  readonly start: number;
  /** The complete blob's size in bytes, if the response states it. */
  readonly size?: number;
}

/** A Range header (RFC 9110 section 14.1.2); `undefined` for the complete blob. `end` is exclusive. */
export function rangeHeader(offset: number, end: number | undefined): string | undefined {
  if (offset === 0 && end === undefined) return undefined;
  return `bytes=${offset}-${end === undefined ? "" : end - 1}`;
}

/**
 * The extent of a 206's body, or why it cannot be used. Bytes from another offset, taken for the
 * requested ones, would only be noticed once the whole blob has been fetched. A shorter part is valid.
 */
export function checkPartialContent(
  headers: Headers,
  offset: number,
  end: number | undefined,
): BodyExtent | string {
  const text = headers.get("content-range");
  const range = parseContentRange(text);
  const shown = `Content-Range ${JSON.stringify((text ?? "").slice(0, 64))}`;
  if (!range) return `a part of a blob with an invalid ${shown}`;
  const { first, last, size } = range;
  if (first !== offset || (end !== undefined && last >= end)) {
    return `bytes from ${offset} on were requested, and it sent ${shown}`;
  }
  if (size !== undefined && last >= size) return `an impossible ${shown}`;
  const length = bodyLength(headers);
  if (length !== undefined && length !== last - first + 1) {
    return `a part of ${length} bytes with ${shown}`;
  }
  return size === undefined ? { start: first } : { start: first, size };
}

/** The extent of a 200's body. Registries that do not support ranges answer a Range request with it. */
export function checkFullContent(status: number, headers: Headers): BodyExtent | string {
  if (status !== 200) return "a part of a blob where the complete one was requested";
  const size = bodyLength(headers);
  return size === undefined ? { start: 0 } : { start: 0, size };
}
