import type { Surroundings, TrustedFile } from "../surroundings.ts";
import type { Container } from "./container.ts";
import { unresolvedIn } from "./unresolved.ts";

const PROXY_VARIABLE = /^(?:https?|no|all)_proxy$/i;
const CERTIFICATE_VARIABLE = /^SSL_CERT_(?:FILE|DIR)$/;
/** Where programs in Go look for CA certificates, and where images have those that are added. */
const CERTIFICATE_PATH =
  /^\/(?:etc\/ssl\/(?:certs|cert\.pem)|etc\/pki|usr\/local\/share\/ca-certificates|etc\/docker\/certs\.d)(?:\/|$)/;
const CERTIFICATE_FILE = /\.(?:pem|crt|cer|cert|bundle)$/i;

/** What the requests of a registry in a container depend on. */
export function surroundingsOf(
  { environment, mounts, extraHosts, nameServers }: Container,
  hostPath: (file: string) => string | undefined,
): Surroundings {
  const proxy: Surroundings["proxy"][number][] = [];
  const unknownProxy: Surroundings["unknownProxy"][number][] = [];
  const certificates: TrustedFile[] = [];
  for (const { name, value, from } of environment) {
    if (PROXY_VARIABLE.test(name)) {
      if (value === undefined || unresolvedIn(value) !== undefined) unknownProxy.push(from);
      else proxy.push({ name, value, from });
    }
    if (!CERTIFICATE_VARIABLE.test(name) || value === undefined) continue;
    const isFolder = name === "SSL_CERT_DIR";
    certificates.push({ file: hostPath(value), isFolder, from });
  }
  const named = new Set(certificates.map(({ file }) => file));
  for (const { source, target, from } of mounts) {
    if (!CERTIFICATE_PATH.test(target)) continue;
    const mounted = "folder" in source ? source.folder : undefined;
    // The bundle is what programs read of the whole directory.
    const hasBundle = target === "/etc/ssl/certs" && mounted !== undefined;
    const file = hasBundle ? `${mounted}/ca-certificates.crt` : mounted;
    if (file !== undefined && named.has(file)) continue;
    const isFolder = !hasBundle && !CERTIFICATE_FILE.test(target);
    certificates.push({ file, isFolder, from });
  }
  return { proxy, unknownProxy, certificates, hosts: extraHosts, nameServers };
}
