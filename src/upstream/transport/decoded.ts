import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { isEncoded } from "./header-checks.ts";

const inflate = promisify(gunzip);

/**
 * A small body as it was before it was compressed on the way, which proxies do although identity is
 * requested. No JSON begins like gzip: a mere label decides nothing. What cannot be decoded within the limit
 * is returned as it is, and then fails as what it should be.
 *
 * @param limit of the decoded bytes
 */
export async function decoded(
  bytes: Uint8Array<ArrayBuffer>,
  headers: Headers,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!isGzip || !isEncoded(headers)) return bytes;
  try {
    return new Uint8Array(await inflate(bytes, { maxOutputLength: limit }));
  } catch {
    return bytes;
  }
}
