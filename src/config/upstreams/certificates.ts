import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import path from "node:path";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { UpstreamEntry } from "../upstream-schema.ts";
import type { Identity, ServerIdentity } from "../settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const MAX_PEM_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The environment for reading a file that the configuration names. */
export type FileContext = Pick<UpstreamContext, "folder" | "readFile" | "report">;

/**
 * Reads the CA bundle of an upstream or a mirror: a PEM file, or PEM text in the configuration.
 * Problems are reported.
 */
export function readCaBundle(
  at: Path,
  fileOrText: string | undefined,
  context: FileContext,
): string | undefined {
  if (fileOrText === undefined) return undefined;
  const isInline = fileOrText.includes("-----BEGIN");
  const text = isInline ? fileOrText : read([...at, "ca"], fileOrText, context);
  const name = isInline ? "it" : path.resolve(context.folder, fileOrText);
  return text === undefined || !certificatesIn(text, [...at, "ca"], name, context)
    ? undefined
    : text;
}

/** Reads the client certificate and key of an upstream. Problems are reported. */
export function readClientIdentity(
  at: Path,
  { clientCertificate, clientKey }: UpstreamEntry,
  context: FileContext,
): Identity | undefined {
  if (clientCertificate === undefined || clientKey === undefined) {
    const single = clientCertificate === undefined ? clientKey && "clientKey" : "clientCertificate";
    if (single)
      context.report([...at, single], "needs both clientCertificate and clientKey", "key");
    return undefined;
  }
  return readIdentity(
    { at: [...at, "clientCertificate"], file: clientCertificate },
    { at: [...at, "clientKey"], file: clientKey },
    context,
  );
}

/** Reads a server certificate and its key. Problems are reported. */
export function readServerIdentity(
  name: "tls" | "adminTls",
  tls: { readonly certificate: string; readonly key: string } | undefined,
  context: FileContext,
): ServerIdentity | undefined {
  if (!tls) return undefined;
  const identity = readIdentity(
    { at: [name, "certificate"], file: tls.certificate },
    { at: [name, "key"], file: tls.key },
    context,
  );
  if (!identity) return undefined;
  const certificateFile = path.resolve(context.folder, tls.certificate);
  return { ...identity, certificateFile, keyFile: path.resolve(context.folder, tls.key) };
}

/** The properties of a certificate. */
export interface CertificateInfo {
  /** The start of the validity period. */
  readonly from: Date;
  /** The end of the validity period. */
  readonly to: Date;
  /** The subject alternative names, DNS names and IP addresses: `cache.example`, `10.0.0.5`. */
  readonly names: readonly string[];
  /** Whether the certificate is its own issuer. */
  readonly isSelfSigned: boolean;
}

/** The properties of an identity's own certificate, which is the first in its chain. */
export function certificateInfo({ certificate }: Identity): CertificateInfo {
  const parsed = new X509Certificate(certificate);
  const names = parsed.subjectAltName?.split(", ") ?? [];
  return {
    from: new Date(parsed.validFrom),
    to: new Date(parsed.validTo),
    names: names.map((name) => name.replace(/^(?:DNS|IP Address):/, "")),
    isSelfSigned: parsed.checkIssued(parsed),
  };
}

/** BoringSSL rejects shorter RSA keys. */
const MIN_RSA_BITS = 1024;
const UNSUPPORTED_KEY =
  "contains an unsupported key: use P-256, P-384, Ed25519, or RSA with 2048 bits";

/** A configuration key and the file that it names. */
export interface FileKey {
  readonly at: Path;
  readonly file: string;
}

/** Reads a certificate chain and its key. Both may be in the same file. */
export function readIdentity(
  certificate: FileKey,
  key: FileKey,
  context: FileContext,
): Identity | undefined {
  const [chain, keyText] = [certificate, key].map(({ at, file }) => read(at, file, context));
  if (chain === undefined || keyText === undefined) return undefined;
  const certificateFile = path.resolve(context.folder, certificate.file);
  const certificates = certificatesIn(chain, certificate.at, certificateFile, context);
  const [first] = certificates ?? [];
  if (!certificates || !first) return undefined;
  const keyFile = path.resolve(context.folder, key.file);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(keyText);
  } catch (error) {
    const isUnsupported = error instanceof Error && /UNSUPPORTED_ALGORITHM/.test(error.message);
    const problem = isUnsupported
      ? UNSUPPORTED_KEY
      : "contains no private key in PEM format without a passphrase";
    context.report(key.at, `${keyFile} ${problem}`, "value");
    return undefined;
  }
  if ((privateKey.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS) < MIN_RSA_BITS) {
    context.report(key.at, `${keyFile} ${UNSUPPORTED_KEY}`, "value");
    return undefined;
  }
  if (first.checkPrivateKey(privateKey)) return { certificate: chain, key: keyText };
  const name = String(certificate.at.at(-1));
  if (certificates.some((other) => other.checkPrivateKey(privateKey))) {
    const message =
      "does not start with the certificate that matches key: put that certificate first";
    context.report(certificate.at, message, "value");
  } else context.report(key.at, `does not match ${name}`, "value");
  return undefined;
}

function certificatesIn(
  text: string,
  at: Path,
  name: string,
  context: FileContext,
): X509Certificate[] | undefined {
  const blocks = text.match(CERTIFICATE) ?? [];
  try {
    if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
    context.report(
      at,
      `${name} contains no certificate in PEM format (-----BEGIN CERTIFICATE-----)`,
      "value",
    );
  } catch {
    context.report(at, `${name} contains an invalid certificate`, "value");
  }
  return undefined;
}

function read(at: Path, file: string, context: FileContext): string | undefined {
  const absolutePath = path.resolve(context.folder, file);
  try {
    return context.readFile(absolutePath, MAX_PEM_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    context.report(at, `${absolutePath} ${error.message}`, "value");
    return undefined;
  }
}
