import { type KeyObject, verify } from "node:crypto";
import type { SignedEntity } from "@sigstore/verify";

type SignatureContent = SignedEntity["signature"];

/** Hashes that cosign and others take for the curves on which SHA-256 is not the usual one. */
const HASHES: Readonly<Record<string, string>> = { secp384r1: "sha384", secp521r1: "sha512" };

/**
 * The library verifies with SHA-256 alone. Cosign signs with another hash on larger curves, and with none by Ed25519.
 *
 * @param signed the bytes of which it is the signature
 */
export function flexibleSignature(content: SignatureContent, signed: Buffer): SignatureContent {
  const others = (key: KeyObject): boolean => {
    if (key.asymmetricKeyType === "ed25519") return isValid(undefined, signed, key, content);
    const hash = HASHES[key.asymmetricKeyDetails?.namedCurve ?? ""];
    return hash !== undefined && isValid(hash, signed, key, content);
  };
  return {
    signature: content.signature,
    compareSignature: (signature) => content.compareSignature(signature),
    compareDigest: (digest) => content.compareDigest(digest),
    compareSignedDigest: (digest) => content.compareSignedDigest(digest),
    verifySignature: (key) => content.verifySignature(key) || others(key),
  };
}

function isValid(
  hash: string | undefined,
  signed: Buffer,
  key: KeyObject,
  { signature }: SignatureContent,
): boolean {
  try {
    return verify(hash, signed, key, signature);
  } catch {
    return false;
  }
}

/** The bytes that an envelope's signature is of (DSSE, "Pre-Authentication Encoding"). */
export function preAuthEncoding(payloadType: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}
