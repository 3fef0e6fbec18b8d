declare const digestBrand: unique symbol;

/** A content digest whose algorithm and encoding were checked (OCI image-spec, descriptor.md#digests). */
export type Digest = string & { readonly [digestBrand]: true };

export type DigestAlgorithm = "sha256" | "sha512";

const GRAMMAR = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/**
 * Reads a digest. Only the two registered algorithms are known; anything else would let a client
 * choose how a path on disk looks (CVE-2024-3727).
 */
export function parseDigest(text: string): Digest | undefined {
  // The grammar was just checked, which is all that the brand claims.
  return GRAMMAR.test(text) ? (text as Digest) : undefined;
}

/** Whether a reference means a digest at all: tags cannot contain a colon. */
export function looksLikeDigest(text: string): boolean {
  return text.includes(":");
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith("sha256:") ? "sha256" : "sha512";
}

/** The encoded part: 64 or 128 lower-case hexadecimal digits. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}

export function newHasher(digest: Digest): Bun.CryptoHasher {
  return new Bun.CryptoHasher(digestAlgorithm(digest));
}

/** The digest of bytes that are in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  const hex = new Bun.CryptoHasher(algorithm).update(bytes).digest("hex");
  // A hexadecimal hash behind its algorithm's name is a digest by construction.
  return `${algorithm}:${hex}` as Digest;
}
