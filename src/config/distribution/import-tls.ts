import type { ImportedConfig } from "../foreign/imported-config.ts";
import type { RegistrySettings, Setting } from "./registry-settings.ts";

const CERTIFICATE = "http.tls.certificate";
const KEY = "http.tls.key";

/** A certificate and its key, as files on the host. */
interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  readonly setting: Setting;
}

/**
 * Imports the certificate of registries with TLS. All ports of the cache have the same certificate,
 * or none.
 */
export function importTls(registries: readonly RegistrySettings[], imported: ImportedConfig): void {
  const secure = registries.flatMap((registry) => {
    const [certificate, key] = [registry.settings.get(CERTIFICATE), registry.settings.get(KEY)];
    return certificate && key ? [{ registry, certificate, key }] : [];
  });
  if (secure.length === 0) return;
  if (secure.length < registries.length) {
    const reason =
      "nodes get plain HTTP here from now on, as some of these registries use it, and all ports of the cache have the same scheme: set tls.certificate and tls.key once all nodes use https://";
    for (const { certificate } of secure) imported.warn(certificate.from, reason);
    return;
  }
  const found = secure.flatMap(({ registry, certificate, key }): CertificateFiles[] => {
    const files = [certificate, key].map(({ value }) => pathOnHost(registry, value));
    const [certificateFile, keyFile] = files;
    if (certificateFile !== undefined && keyFile !== undefined) {
      return [{ certificate: certificateFile, key: keyFile, setting: certificate }];
    }
    const reason =
      "nodes get plain HTTP from now on, as the file is inside the container: copy it and its key to the host, and set tls.certificate and tls.key";
    imported.warn(certificate.from, reason);
    return [];
  });
  const [first, ...others] = found;
  if (!first) return;
  const { certificate, key } = first;
  imported.set(["tls"], [{ certificate, key }], first.setting.from);
  for (const { certificate: file, setting } of others) {
    if (file === certificate) continue;
    imported.skip(
      setting.from,
      `all ports use the certificate ${certificate}: check that it covers this registry's host name`,
    );
  }
}

function pathOnHost(
  { hostPath, isInContainer }: RegistrySettings,
  file: string,
): string | undefined {
  return isInContainer ? hostPath?.(file) : file;
}
