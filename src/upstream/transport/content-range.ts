import { parseContentRange } from "../../oci/range.ts";
import { bodyLength } from "./header-checks.ts";

/** Where an answer's body lies in the content. */
export interface BodyExtent {
  /** The offset of the body's first byte. */
  readonly start: number;
  /** The whole content's size in bytes, where it was told. */
  readonly size?: number;
}

/** A Range header (RFC 9110 section 14.1.2); `undefined` for the whole. `end` is not included. */
export function rangeHeader(offset: number, end: number | undefined): string | undefined {
  if (offset === 0 && end === undefined) return undefined;
  return `bytes=${offset}-${end === undefined ? "" : end - 1}`;
}

/**
 * Where the body of a 206 lies, or why it cannot be used: bytes of another place, taken for those
 * asked for, would only be found out when everything has been fetched. A shorter part is no lie.
 */
export function checkedRange(
  headers: Headers,
  offset: number,
  end: number | undefined,
): BodyExtent | string {
  const text = headers.get("content-range");
  const range = parseContentRange(text);
  const said = `Content-Range ${JSON.stringify((text ?? "").slice(0, 64))}`;
  if (!range) return `a part of a blob with an unusable ${said}`;
  const { first, last, size } = range;
  if (first !== offset || (end !== undefined && last >= end)) {
    return `bytes from ${offset} on were asked for, and ${said} came`;
  }
  if (size !== undefined && last >= size) return `an impossible ${said}`;
  const length = bodyLength(headers);
  if (length !== undefined && length !== last - first + 1) {
    return `a part of ${length} bytes with ${said}`;
  }
  return size === undefined ? { start: first } : { start: first, size };
}

/** Where the body of a 200 lies: registries without ranges answer so to a Range, too. */
export function checkedWhole(status: number, headers: Headers): BodyExtent | string {
  if (status !== 200) return `a part of a blob where the whole was asked for`;
  const size = bodyLength(headers);
  return size === undefined ? { start: 0 } : { start: 0, size };
}
