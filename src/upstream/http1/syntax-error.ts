/** Why bytes are not an HTTP/1.1 response that is accepted: the codes are those of Bun's `fetch`. */
export type SyntaxErrorCode =
  | "InvalidContentLength"
  | "InvalidHTTPResponse"
  | "ResponseHeadersTooLarge"
  | "UnsupportedTransferEncoding";

/** Bytes that are not a valid HTTP/1.1 response. What follows them on the connection is unusable. */
export class HttpSyntaxError extends Error {
  constructor(readonly code: SyntaxErrorCode) {
    super(code);
  }
}
