import { HttpSyntaxError } from "./syntax-error.ts";

/** How the end of a body is found (RFC 9112 section 6.3). */
export type Framing =
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  /** The connection's end is the body's end. */
  | { readonly kind: "close" };

/** The status line and the header section of a response to GET. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: Headers;
  readonly framing: Framing;
  /** Whether the connection may be used for another request after the body. */
  readonly keepAlive: boolean;
}

/** The most header fields: each costs more than its bytes. */
const MAX_FIELDS = 256;

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
/**
 * A field line (RFC 9112 section 5). A folded one begins with white space, and is refused. White space around
 * the value is a part of it: with a pattern of its own, a line of nothing else would take seconds.
 */
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~\dA-Za-z]+):([\t\x20-\x7e\x80-\xff]*)$/;

/**
 * Parses a head without the empty line that ends it.
 *
 * Where two readers could disagree about the end of the body, the response is refused: else the rest of one
 * body could be taken for the next response.
 *
 * @throws HttpSyntaxError
 */
export function parseHead(text: string): ResponseHead {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const [, minor, digits] = STATUS_LINE.exec(statusLine) ?? [];
  if (digits === undefined) throw new HttpSyntaxError("InvalidHTTPResponse");
  if (lines.length > MAX_FIELDS) throw new HttpSyntaxError("ResponseHeadersTooLarge");
  const headers = new Headers();
  let lengths = 0;
  let codings = 0;
  for (const line of lines) {
    const [, name, value] = FIELD_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new HttpSyntaxError("InvalidHTTPResponse");
    const lowerCase = name.toLowerCase();
    if (lowerCase === "content-length") lengths += 1;
    if (lowerCase === "transfer-encoding") codings += 1;
    // Spaces and tabs around it are dropped here, and nothing else is.
    headers.append(name, value);
  }
  const status = Number(digits);
  const framing = framingOf(status, headers, { lengths, codings, isHttp10: minor === "0" });
  const options = (headers.get("connection") ?? "").toLowerCase().split(",");
  const isLast = options.some((option) => option.trim() === "close");
  const keepAlive = minor === "1" && framing.kind !== "close" && !isLast;
  return { status, headers, framing, keepAlive };
}

function framingOf(
  status: number,
  headers: Headers,
  { lengths, codings, isHttp10 }: { lengths: number; codings: number; isHttp10: boolean },
): Framing {
  const isBodiless = status < 200 || status === 204 || status === 304;
  if (codings > 0) {
    const isChunked = headers.get("transfer-encoding")?.toLowerCase() === "chunked";
    if (!isChunked || isHttp10 || isBodiless || lengths > 0) {
      throw new HttpSyntaxError("UnsupportedTransferEncoding");
    }
    return { kind: "chunked" };
  }
  const length = headers.get("content-length");
  // Also a list of equal values, which RFC 9112 section 6.3 would let pass.
  if (lengths > 1 || (length !== null && !/^\d{1,15}$/.test(length))) {
    throw new HttpSyntaxError("InvalidContentLength");
  }
  if (isBodiless) return { kind: "length", length: 0 };
  return length === null ? { kind: "close" } : { kind: "length", length: Number(length) };
}
