declare const digestBrand: unique symbol;

/** A content digest with a validated algorithm and encoding (OCI image-spec, descriptor.md#digests). */
export type Digest = string & { readonly [digestBrand]: true };

export type DigestAlgorithm = "sha256" | "sha512";

const GRAMMAR = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;

/**
 * Parses a digest. Accepts only the two registered algorithms, sha256 and sha512: any other text would
 * let a client choose parts of a path on disk (CVE-2024-3727).
 *
 * @returns undefined if the text is not a valid digest
 */
export function parseDigest(text: string): Digest | undefined {
  // The brand only claims that the text matches the grammar.
  return GRAMMAR.test(text) ? (text as Digest) : undefined;
}

/** Whether a manifest reference is a digest rather than a tag: tags cannot contain a colon. */
export function looksLikeDigest(text: string): boolean {
  return text.includes(":");
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith("sha256:") ? "sha256" : "sha512";
}

/** The encoded part of a digest: 64 or 128 lower-case hexadecimal digits. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}

export function newHasher(digest: Digest): Bun.CryptoHasher {
  return new Bun.CryptoHasher(digestAlgorithm(digest));
}

/** Computes the digest of bytes in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  const hex = new Bun.CryptoHasher(algorithm).update(bytes).digest("hex");
  // The algorithm's name and a hexadecimal hash form a valid digest by construction.
  return `${algorithm}:${hex}` as Digest;
}
