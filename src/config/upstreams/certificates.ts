import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import path from "node:path";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { UpstreamEntry } from "../schema.ts";
import type { Identity, ServerIdentity } from "../settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const MAX_PEM_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** What reading a file that the configuration names needs. */
export type FileContext = Pick<UpstreamContext, "folder" | "readFile" | "report">;

/** The CA bundle of an upstream or a mirror, in PEM: from a file, or as it was written down. */
export function readAuthorities(
  at: Path,
  file: string | undefined,
  context: FileContext,
): string | undefined {
  if (file === undefined) return undefined;
  const isWritten = file.includes("-----BEGIN");
  const text = isWritten ? file : read([...at, "ca"], file, context);
  const name = isWritten ? "it" : path.resolve(context.folder, file);
  return text === undefined || !certificatesIn(text, [...at, "ca"], name, context)
    ? undefined
    : text;
}

/** What an upstream is shown that asks for a certificate. */
export function readClientIdentity(
  at: Path,
  { clientCertificate, clientKey }: UpstreamEntry,
  context: FileContext,
): Identity | undefined {
  if (clientCertificate === undefined || clientKey === undefined) {
    const lonely = clientCertificate === undefined ? clientKey && "clientKey" : "clientCertificate";
    if (lonely)
      context.report([...at, lonely], "needs both clientCertificate and clientKey", "key");
    return undefined;
  }
  return readIdentity(
    { at: [...at, "clientCertificate"], file: clientCertificate },
    { at: [...at, "clientKey"], file: clientKey },
    context,
  );
}

/** What nodes are shown: `tls` of the configuration. */
export function readServerIdentity(
  written: { readonly certificate: string; readonly key: string } | undefined,
  context: FileContext,
): ServerIdentity | undefined {
  if (!written) return undefined;
  const identity = readIdentity(
    { at: ["tls", "certificate"], file: written.certificate },
    { at: ["tls", "key"], file: written.key },
    context,
  );
  if (!identity) return undefined;
  const certificateFile = path.resolve(context.folder, written.certificate);
  return { ...identity, certificateFile, keyFile: path.resolve(context.folder, written.key) };
}

/** What a certificate says of itself; the one that stands first, where there are more. */
export interface CertificateInfo {
  readonly from: Date;
  readonly to: Date;
  /** The names and addresses that it is good for: `cache.example`, `10.0.0.5`. */
  readonly names: readonly string[];
  /** Whether it is its own authority. */
  readonly isSelfSigned: boolean;
}

export function factsOf({ certificate }: Identity): CertificateInfo {
  const parsed = new X509Certificate(certificate);
  const names = parsed.subjectAltName?.split(", ") ?? [];
  return {
    from: new Date(parsed.validFrom),
    to: new Date(parsed.validTo),
    names: names.map((name) => name.replace(/^(?:DNS|IP Address):/, "")),
    isSelfSigned: parsed.checkIssued(parsed),
  };
}

/** BoringSSL makes no handshake with a shorter one. */
const SHORTEST_RSA = 1024;
const UNUSABLE =
  "holds a key with which no TLS is made here: take P-256, P-384, Ed25519, or RSA with 2048 bits";

/** A key of the configuration that names a file. */
interface Named {
  readonly at: Path;
  readonly file: string;
}

/** A certificate and the key that fits it, from two files or twice the same. */
function readIdentity(certificate: Named, key: Named, context: FileContext): Identity | undefined {
  const [chain, secret] = [certificate, key].map(({ at, file }) => read(at, file, context));
  if (chain === undefined || secret === undefined) return undefined;
  const whole = path.resolve(context.folder, certificate.file);
  const all = certificatesIn(chain, certificate.at, whole, context);
  const [own] = all ?? [];
  if (!all || !own) return undefined;
  let parsed: KeyObject;
  try {
    parsed = createPrivateKey(secret);
  } catch (error) {
    const isStrange = error instanceof Error && /UNSUPPORTED_ALGORITHM/.test(error.message);
    const what = isStrange ? UNUSABLE : "holds no private key in PEM without a passphrase";
    context.report(key.at, `${path.resolve(context.folder, key.file)} ${what}`, "value");
    return undefined;
  }
  if ((parsed.asymmetricKeyDetails?.modulusLength ?? SHORTEST_RSA) < SHORTEST_RSA) {
    context.report(key.at, `${path.resolve(context.folder, key.file)} ${UNUSABLE}`, "value");
    return undefined;
  }
  if (own.checkPrivateKey(parsed)) return { certificate: chain, key: secret };
  const name = String(certificate.at.at(-1));
  if (all.some((one) => one.checkPrivateKey(parsed))) {
    const message =
      "begins with another certificate than the one that key fits, which has to stand first";
    context.report(certificate.at, message, "value");
  } else context.report(key.at, `is not the key of ${name}`, "value");
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
      `${name} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`,
      "value",
    );
  } catch {
    context.report(at, `${name} holds a certificate that cannot be read`, "value");
  }
  return undefined;
}

function read(at: Path, file: string, context: FileContext): string | undefined {
  const whole = path.resolve(context.folder, file);
  try {
    return context.readFile(whole, MAX_PEM_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    context.report(at, `${whole} ${error.message}`, "value");
    return undefined;
  }
}
