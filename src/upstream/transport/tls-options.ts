import { rootCertificates } from "node:tls";
import type { Identity } from "../../config/settings.ts";

/** What of Bun's TLS options an upstream's settings decide. */
interface TlsParts {
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
}

/**
 * TLS as an upstream's settings want it, and what tells it from others.
 *
 * An upstream's authorities come on top of the usual ones, as in containerd: its redirects may well
 * lead to a public storage.
 */
export function tlsOptions(
  ca: string | undefined,
  client: Identity | undefined,
): { readonly tls: TlsParts; readonly fingerprint: string } {
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
