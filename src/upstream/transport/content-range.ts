import { parseContentRange } from "../../oci/range.ts";
import { bodyLength, isEncoded } from "./header-checks.ts";

/** The part of a blob that a response's body holds. */
export interface BodyExtent {
  /** The offset of the body's first byte. */
  readonly start: number;
  /** The complete blob's size in bytes, if the response states it. */
  readonly size?: number;
  /** The offset after the body's last byte, if the response states a range. */
  readonly end?: number;
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
  // A storage's label for what was uploaded comes with the part's length, which a proxy that compresses cannot tell.
  if (length === undefined && isEncoded(headers)) return "a part of a blob, compressed on the way";
  const extent = { start: first, end: last + 1 };
  return size === undefined ? extent : { ...extent, size };
}

/**
 * Whether a response is the complete content: 200, 203 from a proxy in between (RFC 9110 section 15.3.4),
 * or a 206 whose range is all there is, which some storages send without being asked for a part.
 */
export function isComplete(status: number, headers: Headers): boolean {
  if (status !== 206) return status === 200 || status === 203;
  const range = parseContentRange(headers.get("content-range"));
  return range?.first === 0 && range.last + 1 === range.size;
}

/**
 * The extent of the body of a response with complete content. Registries that do not support ranges answer
 * a Range request with it.
 */
export function checkFullContent(status: number, headers: Headers): BodyExtent | string {
  if (!isComplete(status, headers)) return "a part of a blob where the complete one was requested";
  if (status === 206) return checkPartialContent(headers, 0, undefined);
  const size = bodyLength(headers);
  return size === undefined ? { start: 0 } : { start: 0, size };
}
