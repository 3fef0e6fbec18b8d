import type { Settings, UpstreamSettings } from "./settings.ts";

/** What differs between two configurations, in the words of the file and without secrets. */
export interface Changes {
  /** What is taken up at once. */
  readonly now: readonly string[];
  /** What a restart takes up. */
  readonly restart: readonly string[];
}

/** Keys whose values are secrets, or hold some: only that they changed is told. */
const SECRET = new Set(["credentials", "proxy", "ca", "client", "adminToken"]);
/** What is compared in another way, or says nothing of how the cache runs. */
const APART = new Set(["upstreams", "file", "leftOver", "tls"]);
/** Names in the file that differ from those in here. */
const NAMES: Readonly<Record<string, string>> = {
  credentials: "auth",
  client: "clientCertificate",
  dataDirectory: "storage.dir",
};

export function changesBetween(before: Settings, after: Settings): Changes {
  const now: string[] = [];
  const restart: string[] = [];
  for (const key of keysOf(before, after)) {
    if (APART.has(key)) continue;
    const [from, to] = [text(Reflect.get(before, key)), text(Reflect.get(after, key))];
    if (from === to) continue;
    const what = NAMES[key] ?? key;
    restart.push(SECRET.has(key) ? `${what}: changed` : `${what}: ${from} → ${to}`);
  }
  if (text(before.tls) !== text(after.tls)) {
    // A port that spoke HTTP until now has clients that go on doing so.
    if (before.tls && after.tls) now.push("tls: changed");
    else restart.push(`tls: ${after.tls ? "added" : "removed"}`);
  }
  for (const name of new Set([...before.upstreams.keys(), ...after.upstreams.keys()])) {
    const [from, to] = [before.upstreams.get(name), after.upstreams.get(name)];
    if (from && to) {
      compare(name, from, to, { now, restart });
      continue;
    }
    now.push(`upstreams.${name}: ${to ? "added" : "removed"}`);
    const [had, has] = [text(from?.port), text(to?.port)];
    // It is served by its name at once; only where it listens besides is for the next start.
    if (had !== has) restart.push(`upstreams.${name}.port: ${had} → ${has}`);
  }
  return { now, restart };
}

function compare(
  name: string,
  before: UpstreamSettings,
  after: UpstreamSettings,
  { now, restart }: { now: string[]; restart: string[] },
): void {
  for (const key of keysOf(before, after)) {
    const [from, to] = [text(Reflect.get(before, key)), text(Reflect.get(after, key))];
    if (from === to) continue;
    const what = `upstreams.${name}.${NAMES[key] ?? key}`;
    const line = SECRET.has(key) ? `${what}: changed` : `${what}: ${from} → ${to}`;
    (key === "port" ? restart : now).push(line);
  }
}

function keysOf(...objects: readonly object[]): Set<string> {
  return new Set(objects.flatMap((object) => Object.keys(object)));
}

function text(value: unknown): string {
  return value === undefined ? "none" : JSON.stringify(value, shorten);
}

/** A mirror's authority is pages of PEM, of which a line of the log says only that it is another. */
function shorten(key: string, value: unknown): unknown {
  if (key !== "ca" || typeof value !== "string") return value;
  return `sha256:${new Bun.CryptoHasher("sha256").update(value).digest("hex").slice(0, 12)}`;
}
