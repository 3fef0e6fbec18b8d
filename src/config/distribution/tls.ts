import type { ImportedConfig } from "../foreign/imported-config.ts";
import type { Fact, RegistrySettings } from "./registry-settings.ts";

const CERTIFICATE = "http.tls.certificate";
const KEY = "http.tls.key";

/** A certificate and its key, as files of this machine. */
interface Identity {
  readonly certificate: string;
  readonly key: string;
  readonly at: Fact;
}

/** The certificate of registries that speak TLS. Here all ports show one, or none of them does. */
export function carryTls(registries: readonly RegistrySettings[], draft: ImportedConfig): void {
  const secure = registries.flatMap((facts) => {
    const [certificate, key] = [facts.settings.get(CERTIFICATE), facts.settings.get(KEY)];
    return certificate && key ? [{ facts, certificate, key }] : [];
  });
  if (secure.length === 0) return;
  if (secure.length < registries.length) {
    const why =
      "some of these registries are asked over http://, and all ports here speak the same: name it as tls.certificate and tls.key once every node asks with https://";
    for (const { certificate } of secure) draft.leave(certificate.from, why);
    return;
  }
  const found = secure.flatMap(({ facts, certificate, key }): Identity[] => {
    const files = [certificate, key].map(({ value }) => placeOf(facts, value));
    const [certificateFile, keyFile] = files;
    if (certificateFile !== undefined && keyFile !== undefined) {
      return [{ certificate: certificateFile, key: keyFile, at: certificate }];
    }
    const why =
      "it is inside of the container: copy it and its key out, and name them as tls.certificate and tls.key";
    draft.leave(certificate.from, why);
    return [];
  });
  const [first, ...others] = found;
  if (!first) return;
  const { certificate, key } = first;
  draft.set(["tls"], [{ certificate, key }], first.at.from);
  for (const { certificate: file, at } of others) {
    if (file === certificate) continue;
    draft.leave(
      at.from,
      `one certificate is shown at all ports, ${certificate}: is its name among those?`,
    );
  }
}

function placeOf({ place, isContained }: RegistrySettings, file: string): string | undefined {
  return isContained ? place?.(file) : file;
}
