import { createPublicKey, type KeyObject } from "node:crypto";
import path from "node:path";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { FileContext } from "../upstreams/certificates.ts";

const MAX_BYTES = 64 * 1024;
const BLOCK = /-----BEGIN (?<label>[A-Z0-9 ]+)-----[\s\S]+?-----END \k<label>-----/g;
const CURVES = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const MIN_RSA_BITS = 2048;

/** A public key as PEM text, and where it was read from. */
export interface NamedKey {
  readonly pem: string;
  readonly source: string;
}

/** Reads a PEM file of public keys, or PEM text in the configuration. What is wrong is reported. */
export function readPublicKeys(at: Path, fileOrText: string, context: FileContext): NamedKey[] {
  const isInline = fileOrText.includes("-----BEGIN");
  const source = isInline ? "entrepot.yaml" : path.resolve(context.folder, fileOrText);
  const refuse = (reason: string): [] => {
    context.report(at, `${isInline ? "it" : source} ${reason}`, "value");
    return [];
  };
  let text: string;
  try {
    text = isInline ? fileOrText : context.readFile(source, MAX_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return refuse(error.message);
  }
  const blocks = [...text.matchAll(BLOCK)];
  const labels = blocks.map(({ groups }) => groups?.["label"] ?? "");
  if (labels.some((label) => label.endsWith("PRIVATE KEY"))) {
    return refuse("contains a private key: write the public one (cosign.pub), and replace the key");
  }
  if (labels.some((label) => label.endsWith("CERTIFICATE"))) {
    return refuse("contains a certificate: write its public key (openssl x509 -pubkey -noout)");
  }
  if (blocks.length === 0) {
    return refuse("contains no public key in PEM format (-----BEGIN PUBLIC KEY-----)");
  }
  const keys: NamedKey[] = [];
  for (const [pem] of blocks) {
    const problem = keyProblem(pem);
    if (problem !== undefined) return refuse(problem);
    keys.push({ pem, source });
  }
  return keys;
}

function keyProblem(pem: string): string | undefined {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return "contains no public key that can be read: write ECDSA, Ed25519 or RSA as PEM";
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ed25519") return undefined;
  if (type === "ec") {
    const { namedCurve = "unknown" } = details ?? {};
    return CURVES.has(namedCurve)
      ? undefined
      : `contains a key on the curve ${namedCurve}: use P-256, P-384 or P-521`;
  }
  if (type !== "rsa") return `contains a key of the type ${type}: use ECDSA, Ed25519 or RSA`;
  const bits = details?.modulusLength ?? 0;
  return bits < MIN_RSA_BITS
    ? `contains an RSA key of ${bits} bits: use ${MIN_RSA_BITS} or more`
    : undefined;
}
