import { rootCertificates } from "node:tls";
import type { Identity } from "../../config/settings.ts";

/** The Bun TLS options that an upstream's settings determine. */
interface TlsOptions {
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
}

/**
 * The TLS options for an upstream's settings, and a fingerprint that differs where they differ.
 *
 * An upstream's CA certificates are trusted in addition to the public ones, as in containerd: its
 * redirects may well lead to a public storage service.
 */
export function tlsOptions(
  ca: string | undefined,
  client: Identity | undefined,
): { readonly tls: TlsOptions; readonly fingerprint: string } {
  if (ca === undefined && !client) return { tls: {}, fingerprint: "" };
  const hash = new Bun.CryptoHasher("sha256");
  for (const part of [ca, client?.certificate, client?.key]) hash.update(`${part ?? ""}\0`);
  return {
    tls: {
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
      ...(client ? { cert: client.certificate, key: client.key } : {}),
    },
    fingerprint: hash.digest("hex"),
  };
}
