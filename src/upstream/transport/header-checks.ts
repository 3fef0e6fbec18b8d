/** The largest response headers that are accepted, in bytes. Bun's own limit is in the megabytes. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * The body's size in bytes from Content-Length. `undefined` if that is missing or invalid, or if a
 * transfer coding overrides it (RFC 9112 section 6.2).
 */
export function bodyLength(headers: Headers): number | undefined {
  const length = headers.get("content-length");
  if (length === null || headers.has("transfer-encoding")) return undefined;
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** Why a response with these headers cannot be used; `undefined` if it can. */
export function headerProblem(headers: Headers): string | undefined {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length + 4;
  if (bytes > MAX_HEADER_BYTES) return `sent ${bytes} bytes of headers`;
  return undefined;
}

/**
 * Whether a body is said to be encoded, although identity was requested. Often it is a mere label, such as
 * the one with which a layer was uploaded (`gzip`, `aws-chunked`): the digest of the bytes as they were sent
 * decides.
 */
export function isEncoded(headers: Headers): boolean {
  const coding = headers.get("content-encoding")?.trim().toLowerCase() || "identity";
  return coding !== "identity";
}
