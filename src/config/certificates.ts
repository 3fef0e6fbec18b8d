import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import path from "node:path";
import { UnreadableError } from "./files.ts";
import type { Path } from "./positions.ts";
import type { UpstreamEntry } from "./schema.ts";
import type { ClientIdentity } from "./settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const MAX_PEM_BYTES = 4 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The CA bundle of an upstream or a mirror, in PEM: from a file, or as it was written down. */
export function readAuthorities(
  at: Path,
  file: string | undefined,
  context: UpstreamContext,
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
export function readIdentity(
  at: Path,
  { clientCertificate, clientKey }: UpstreamEntry,
  context: UpstreamContext,
): ClientIdentity | undefined {
  if (clientCertificate === undefined || clientKey === undefined) {
    const lonely = clientCertificate === undefined ? clientKey && "clientKey" : "clientCertificate";
    if (lonely)
      context.report([...at, lonely], "needs both clientCertificate and clientKey", "key");
    return undefined;
  }
  const certificate = read([...at, "clientCertificate"], clientCertificate, context);
  const key = read([...at, "clientKey"], clientKey, context);
  if (certificate === undefined || key === undefined) return undefined;
  const [own] =
    certificatesIn(
      certificate,
      [...at, "clientCertificate"],
      path.resolve(context.folder, clientCertificate),
      context,
    ) ?? [];
  if (!own) return undefined;
  let secret: KeyObject;
  try {
    secret = createPrivateKey(key);
  } catch {
    const message = `${path.resolve(context.folder, clientKey)} holds no private key in PEM without a passphrase`;
    context.report([...at, "clientKey"], message, "value");
    return undefined;
  }
  if (own.checkPrivateKey(secret)) return { certificate, key };
  context.report([...at, "clientKey"], "is not the key of clientCertificate", "value");
  return undefined;
}

function certificatesIn(
  text: string,
  at: Path,
  name: string,
  context: UpstreamContext,
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

function read(at: Path, file: string, context: UpstreamContext): string | undefined {
  const whole = path.resolve(context.folder, file);
  try {
    return context.readFile(whole, MAX_PEM_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    context.report(at, `${whole} ${error.message}`, "value");
    return undefined;
  }
}
