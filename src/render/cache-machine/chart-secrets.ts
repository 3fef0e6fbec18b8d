import { mountedSecret, SECRETS_IN_CHART } from "../../config/foreign/cluster-needs.ts";
import type { ImportedConfig } from "../../config/foreign/imported-config.ts";
import type { Path } from "../../config/parsing/yaml-source.ts";
import { quoteForShell } from "../../config/foreign/shell-word.ts";

/** A Secret that has to be in the namespace of the release. */
export interface NeededSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** The command that makes it; undefined for one that is in a cluster already. */
  readonly command?: string;
}

/**
 * Has everything that is secret, and each file of the old machine, come from Secrets of a cluster. None of
 * them is copied.
 */
export function referToSecrets(imported: ImportedConfig): NeededSecret[] {
  const needed = new Map<string, NeededSecret>();
  for (const { name, keys } of imported.needs.secrets) needed.set(name, { name, keys });
  for (const [upstream, entry] of entriesOf(imported.value["upstreams"])) {
    const at = ["upstreams", upstream];
    const name = (suffix = ""): string => `entrepot-${slug(upstream)}${suffix}`;
    const settings = Object.fromEntries(entriesOf(entry));
    for (const one of [
      credentials(imported, name(), [...at, "auth"], settings["auth"]),
      certificates(imported, name("-ca"), [...at, "ca"], settings["ca"]),
      ...entriesOf(settings["mirrors"]).map(([index, mirror]) =>
        certificates(
          imported,
          name(`-mirror-${index}-ca`),
          [...at, "mirrors", Number(index), "ca"],
          Object.fromEntries(entriesOf(mirror))["ca"],
        ),
      ),
      clientIdentity(imported, name("-client"), at, settings),
    ]) {
      if (one) needed.set(one.name, one);
    }
  }
  return [...needed.values()];
}

function credentials(
  imported: ImportedConfig,
  name: string,
  at: Path,
  auth: unknown,
): NeededSecret | undefined {
  const { secretDir, username, password, passwordFile, helper, dockerConfig } = Object.fromEntries(
    entriesOf(auth),
  );
  if (helper !== undefined || dockerConfig !== undefined) {
    const reason = `the image has no credential helpers: make a Secret of the type docker-registry, mount it by secretMounts, and name its folder in auth.secretDir`;
    imported.drop(at, reason);
  }
  if (secretDir !== undefined || (password === undefined && passwordFile === undefined)) {
    return undefined;
  }
  const from = imported.originOf(at);
  if (!from) return undefined;
  imported.set(at, [{ secretDir: mountedSecret(name) }], from, "from a Secret");
  const file = typeof passwordFile === "string" ? passwordFile : "FILE_WITH_THE_PASSWORD";
  const user = typeof username === "string" ? username : "USER";
  const command = `kubectl --namespace entrepot create secret generic ${name} --from-literal=${quoteForShell(`username=${user}`)} --from-file=${quoteForShell(`password=${file}`)}`;
  return { name, keys: ["username", "password"], command };
}

/** A CA that is a file here becomes one there; its text stays. */
function certificates(
  imported: ImportedConfig,
  name: string,
  at: Path,
  ca: unknown,
): NeededSecret | undefined {
  if (typeof ca !== "string" || ca.includes("-----BEGIN") || isMounted(ca)) return undefined;
  const from = imported.originOf(at);
  if (!from) return undefined;
  imported.set(at, [`${mountedSecret(name)}/ca.crt`], from, "from a Secret");
  const command = `kubectl --namespace entrepot create secret generic ${name} --from-file=${quoteForShell(`ca.crt=${ca}`)}`;
  return { name, keys: ["ca.crt"], command };
}

function clientIdentity(
  imported: ImportedConfig,
  name: string,
  at: Path,
  { clientCertificate, clientKey }: Readonly<Record<string, unknown>>,
): NeededSecret | undefined {
  if (typeof clientCertificate !== "string" || typeof clientKey !== "string") return undefined;
  const files = { clientCertificate: "tls.crt", clientKey: "tls.key" };
  for (const [key, file] of Object.entries(files)) {
    const from = imported.originOf([...at, key]);
    if (from) imported.set([...at, key], [`${mountedSecret(name)}/${file}`], from, "from a Secret");
  }
  return {
    name,
    keys: Object.values(files),
    command: tlsCommand(name, clientCertificate, clientKey),
  };
}

export function tlsCommand(name: string, certificate: string, key: string): string {
  return `kubectl --namespace entrepot create secret tls ${name} --cert=${quoteForShell(certificate)} --key=${quoteForShell(key)}`;
}

function isMounted(file: string): boolean {
  return file.startsWith(SECRETS_IN_CHART);
}

/** A part of the name of an object in Kubernetes. */
function slug(upstream: string): string {
  return upstream.replaceAll(/[^a-z0-9]+/g, "-");
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
