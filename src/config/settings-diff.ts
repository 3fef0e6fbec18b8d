import type { Settings, UpstreamSettings } from "./settings.ts";

/** The differences between two configurations, by the keys of the file and without secrets. */
export interface SettingsDiff {
  /** Changes that apply immediately. */
  readonly immediate: readonly string[];
  /** Changes that need a restart. */
  readonly needsRestart: readonly string[];
}

/** Keys whose values are or contain secrets. Only the fact of the change is reported. */
const SECRET_KEYS = new Set(["credentials", "proxy", "ca", "client", "adminToken"]);
/** Keys that are compared separately, or do not affect the running cache. */
const EXCLUDED_KEYS = new Set(["upstreams", "file", "unsupported", "tls"]);
/** Keys in the file, where they differ from the property names. */
const FILE_KEYS: Readonly<Record<string, string>> = {
  credentials: "auth",
  client: "clientCertificate",
  dataDirectory: "storage.dir",
};

export function diffSettings(before: Settings, after: Settings): SettingsDiff {
  const immediate: string[] = [];
  const needsRestart: string[] = [];
  for (const key of keysOf(before, after)) {
    if (EXCLUDED_KEYS.has(key)) continue;
    const [from, to] = [toText(Reflect.get(before, key)), toText(Reflect.get(after, key))];
    if (from === to) continue;
    const name = FILE_KEYS[key] ?? key;
    needsRestart.push(SECRET_KEYS.has(key) ? `${name}: changed` : `${name}: ${from} → ${to}`);
  }
  if (toText(before.tls) !== toText(after.tls)) {
    // Switching between HTTP and HTTPS needs a restart: clients of an HTTP port cannot switch by themselves.
    if (before.tls && after.tls) immediate.push("tls: changed");
    else needsRestart.push(`tls: ${after.tls ? "added" : "removed"}`);
  }
  for (const name of new Set([...before.upstreams.keys(), ...after.upstreams.keys()])) {
    const [from, to] = [before.upstreams.get(name), after.upstreams.get(name)];
    if (from && to) {
      diffUpstream(name, from, to, { immediate, needsRestart });
      continue;
    }
    immediate.push(`upstreams.${name}: ${to ? "added" : "removed"}`);
    const [oldPort, newPort] = [toText(from?.port), toText(to?.port)];
    // The upstream is served by namespace immediately; only its additional port needs a restart.
    if (oldPort !== newPort) {
      needsRestart.push(`upstreams.${name}.port: ${oldPort} → ${newPort}`);
    }
  }
  return { immediate, needsRestart };
}

function diffUpstream(
  name: string,
  before: UpstreamSettings,
  after: UpstreamSettings,
  { immediate, needsRestart }: { immediate: string[]; needsRestart: string[] },
): void {
  for (const key of keysOf(before, after)) {
    const [from, to] = [toText(Reflect.get(before, key)), toText(Reflect.get(after, key))];
    if (from === to) continue;
    const path = `upstreams.${name}.${FILE_KEYS[key] ?? key}`;
    const line = SECRET_KEYS.has(key) ? `${path}: changed` : `${path}: ${from} → ${to}`;
    (key === "port" ? needsRestart : immediate).push(line);
  }
}

function keysOf(...objects: readonly object[]): Set<string> {
  return new Set(objects.flatMap((object) => Object.keys(object)));
}

function toText(value: unknown): string {
  return value === undefined ? "none" : JSON.stringify(value, shortenCertificates);
}

/** Replaces a mirror's CA certificates, which are long PEM text, by their fingerprint. */
function shortenCertificates(key: string, value: unknown): unknown {
  if (key !== "ca" || typeof value !== "string") return value;
  return `sha256:${new Bun.CryptoHasher("sha256").update(value).digest("hex").slice(0, 12)}`;
}
