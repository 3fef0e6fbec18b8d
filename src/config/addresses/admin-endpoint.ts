import { formatAddress } from "../parsing/address.ts";
import type { Settings } from "../settings.ts";

/** How a command reaches the admin port of a cache. */
export interface AdminEndpoint {
  /** Such as `https://cache.example:5001`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** How its certificate is verified; absent for plain HTTP. */
  readonly tls?: AdminTls;
}

/** Bun's types lack what Node.js has. */
interface AdminTls extends BunFetchRequestInitTLS {
  /** Whether a certificate of `ca` is trusted that is not its own issuer. */
  readonly allowPartialTrustChain?: boolean;
}

/** What a command line says of TLS, beside the configuration. */
export interface AdminEndpointOptions {
  readonly isTls?: boolean | undefined;
  /** PEM of the CA that signed the certificate, if the system does not trust it. */
  readonly ca?: string | undefined;
}

/** The admin port of the cache that is configured, as it is reached from this machine. */
export function adminEndpoint(
  { admin, adminTokens, adminTls }: Pick<Settings, "admin" | "adminTokens" | "adminTls">,
  { ca, isTls = ca !== undefined || adminTls !== undefined }: AdminEndpointOptions = {},
): AdminEndpoint {
  // A cache that listens at all addresses is reached by loopback from here.
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[admin.host] ?? admin.host;
  const address = formatAddress({ host, port: admin.port });
  const [token] = adminTokens?.admin ?? [];
  const headers: Record<string, string> =
    token === undefined ? {} : { authorization: `Bearer ${token}` };
  if (!isTls) return { url: `http://${address}`, headers };
  const own = ca === undefined && adminTls ? onlyThis(adminTls.certificate) : {};
  return { url: `https://${address}`, headers, tls: ca === undefined ? own : { ca } };
}

/**
 * Trusts one certificate and nothing else: that of the configuration, which may have been issued for other
 * names than the one by which this machine reaches itself.
 */
function onlyThis(chain: string): AdminTls {
  const end = "-----END CERTIFICATE-----";
  const own = chain.slice(0, chain.indexOf(end) + end.length);
  return { ca: own, allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}
