import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import type { RegistrySettings } from "./registry-settings.ts";

/** A registry with TLS. */
interface SecureRegistry {
  readonly from: Origin;
  /** Its certificate and key, as files on the host, or why there are none. */
  readonly identity: { readonly certificate: string; readonly key: string } | { why: string };
}

/**
 * Imports the certificate of registries with TLS. All ports of the cache have the same certificate,
 * or none.
 */
export function importTls(registries: readonly RegistrySettings[], imported: ImportedConfig): void {
  const secure = registries.map(tlsOf).filter((one) => one !== undefined);
  const isMixed = secure.length < registries.length;
  const [chosen] = secure.flatMap(({ from, identity }) =>
    isMixed || "why" in identity ? [] : [{ from, identity }],
  );
  if (chosen) imported.set(["tls"], [chosen.identity], chosen.from);
  for (const { from, identity } of secure) {
    if (!chosen) {
      const why = isMixed
        ? "some of these registries use it, and all ports of the cache have the same scheme"
        : "why" in identity && identity.why;
      const advice = "set tls.certificate and tls.key once all nodes use https://";
      imported.warn(from, `nodes get plain HTTP from now on, since ${why}: ${advice}`);
      continue;
    }
    const { certificate } = chosen.identity;
    if ("certificate" in identity && identity.certificate === certificate) continue;
    const reason = `all ports use the certificate ${certificate}: check that it covers this registry's host name`;
    imported.skip(from, reason);
  }
}

function tlsOf({
  settings,
  hostPath,
  isInContainer,
}: RegistrySettings): SecureRegistry | undefined {
  const [certificate, key] = [settings.get("http.tls.certificate"), settings.get("http.tls.key")];
  if (certificate?.value && key?.value) {
    const onHost = (file: string): string | undefined => (isInContainer ? hostPath?.(file) : file);
    const files = { certificate: onHost(certificate.value), key: onHost(key.value) };
    const identity =
      files.certificate !== undefined && files.key !== undefined
        ? { certificate: files.certificate, key: files.key }
        : { why: "its certificate is inside the container" };
    return { from: certificate.from, identity };
  }
  for (const [name, { value, from }] of settings) {
    if (value === "" || !name.startsWith("http.tls.letsencrypt.")) continue;
    return { from, identity: { why: "certificates are not requested automatically" } };
  }
  return undefined;
}
