/** Response headers above this are no registry's; Bun's own limit is in the megabytes. In bytes. */
const MAX_HEADER_BYTES = 64 * 1024;

/** The size of a body in bytes as its sender tells it; a transfer coding has it not count (RFC 9112 section 6.2). */
export function bodyLength(headers: Headers): number | undefined {
  const length = headers.get("content-length");
  if (length === null || headers.has("transfer-encoding")) return undefined;
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** Why an answer with these headers cannot be used; `undefined` where it can. */
export function headerProblem(headers: Headers): string | undefined {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length + 4;
  if (bytes > MAX_HEADER_BYTES) return `sent ${bytes} bytes of headers`;
  const coding = headers.get("content-encoding")?.trim().toLowerCase() || "identity";
  if (coding !== "identity") {
    // Its digest is of the bytes as they are stored: decoded ones would not match.
    return `sent a body encoded as ${JSON.stringify(coding.slice(0, 32))} although identity was asked for`;
  }
  return undefined;
}
