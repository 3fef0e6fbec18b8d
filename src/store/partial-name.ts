import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../oci/digest.ts";

declare const partialNameBrand: unique symbol;

/** The name of a partial download: that of its blob, and of whose download it is. */
export type PartialName = string & { readonly [partialNameBrand]: true };

const GRAMMAR = /^(sha256|sha512)-([a-f0-9]+)(?:-[a-f0-9]{16})?$/;

/**
 * @param owner whose download it is: bytes of one owner are never continued with those of another. Empty
 *   if it belongs to nobody in particular
 */
export function partialName(digest: Digest, owner: string): PartialName {
  const hash = new Bun.CryptoHasher("sha256").update(owner).digest("hex").slice(0, 16);
  const suffix = owner === "" ? "" : `-${hash}`;
  // By construction of the grammar.
  return `${digestAlgorithm(digest)}-${digestHex(digest)}${suffix}` as PartialName;
}

/** Parses the name of a partial download, and the digest in it; `undefined` for any other text. */
export function parsePartialName(
  text: string,
): { readonly name: PartialName; readonly digest: Digest } | undefined {
  const [, algorithm, hex] = GRAMMAR.exec(text) ?? [];
  const digest = parseDigest(`${algorithm}:${hex}`);
  // The brand only claims that the text matches the grammar.
  return digest && { name: text as PartialName, digest };
}
