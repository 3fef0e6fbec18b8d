import type { UpstreamName } from "../oci/names.ts";
import type { ClusterSettings } from "./cluster-settings.ts";
import type { DatabaseSettings } from "./database-settings.ts";
import type { AdminTokens } from "./operator/admin-token.ts";
import type { WrittenKey } from "./effective/written-keys.ts";
import { type Address, formatAddress } from "./parsing/address.ts";
import { isLoopbackHost } from "./parsing/host-overlap.ts";
import type { Settings, UpstreamSettings } from "./settings.ts";

/** The differences between two configurations, by the keys of the file and without secrets. */
export interface SettingsDiff {
  /** Changes that apply immediately. */
  readonly immediate: readonly string[];
  /** Changes that need a restart. */
  readonly needsRestart: readonly string[];
}

/** Keys whose values are or contain secrets. Only the fact of the change is reported. */
const SECRET_KEYS = new Set([
  "credentials",
  "proxy",
  "ca",
  "client",
  "kubernetes",
  "events",
  "clients",
]);
/** Keys whose changes apply immediately. */
const IMMEDIATE_KEYS = new Set([
  "maxRate",
  "pulledWithin",
  "kubernetes",
  "events",
  "audit",
  "clients",
  "policies",
]);
/** Keys that are compared separately, or do not affect the running cache. */
const EXCLUDED_KEYS = new Set([
  "upstreams",
  "file",
  "written",
  "unsupported",
  "tls",
  "adminTls",
  "adminTokens",
  "cluster",
  "clients",
  "warm",
]);
/** Keys in the file, where they differ from the property names. */
const FILE_KEYS: Readonly<Record<string, string>> = {
  credentials: "auth",
  client: "clientCertificate",
  dataDirectory: "storage.dir",
  pulledWithin: "readiness.pulledWithin",
};

/** The keys that say where an upstream is served. */
const ADDRESS_KEYS = ["port", "listen", "pathPrefix"] as const;

/** Where an upstream is served by itself: a cache opens these addresses only as it starts. */
export type OwnAddress = Pick<UpstreamSettings, (typeof ADDRESS_KEYS)[number]>;

export type OwnAddresses = ReadonlyMap<UpstreamName, OwnAddress>;

/** Settings, with what is written in their file. */
type WrittenSettings = Settings & { readonly written?: readonly Pick<WrittenKey, "key">[] };

/** @param open the addresses to which those of `after` are compared: an upstream may have come and gone */
export function diffSettings(
  before: WrittenSettings,
  after: WrittenSettings,
  open: OwnAddresses = before.upstreams,
): SettingsDiff {
  const immediate: string[] = [];
  const needsRestart: string[] = [];
  for (const key of keysOf(before, after)) {
    if (EXCLUDED_KEYS.has(key)) continue;
    const [from, to] = [toText(Reflect.get(before, key)), toText(Reflect.get(after, key))];
    if (from === to) continue;
    const name = FILE_KEYS[key] ?? key;
    const change = SECRET_KEYS.has(key) ? `${name}: changed` : `${name}: ${from} → ${to}`;
    (IMMEDIATE_KEYS.has(key) ? immediate : needsRestart).push(change);
  }
  for (const key of ["tls", "adminTls"] as const) {
    if (toText(before[key]) === toText(after[key])) continue;
    // Switching between HTTP and HTTPS needs a restart: clients of an HTTP port cannot switch by themselves.
    if (before[key] && after[key]) immediate.push(`${key}: changed`);
    else needsRestart.push(`${key}: ${after[key] ? "added" : "removed"}`);
  }
  if (toText(before.adminTokens) !== toText(after.adminTokens)) {
    const isKept = runningTokens(before, after) !== after.adminTokens;
    (isKept ? needsRestart : immediate).push(...changedTokens(before, after));
  }
  const [clients, others] = [before.clients, after.clients];
  // Whose certificates are asked for is said as a port is opened.
  if (toText(clients?.certificates) !== toText(others?.certificates)) {
    needsRestart.push("clients.certificates: changed");
  }
  if (toText(knownWithout(clients)) !== toText(knownWithout(others))) {
    immediate.push("clients: changed");
  }
  immediate.push(...diffWarm(before.warm, after.warm));
  for (const { change, isImmediate } of diffCluster(before.cluster, after.cluster)) {
    (isImmediate ? immediate : needsRestart).push(change);
  }
  for (const name of new Set([...before.upstreams.keys(), ...after.upstreams.keys()])) {
    const [from, to] = [before.upstreams.get(name), after.upstreams.get(name)];
    const changes =
      from && to
        ? diffUpstream(name, from, to)
        : [`upstreams.${name}: ${to ? "added" : "removed"}`];
    (to && awaitsAddress(to, { before, after, open }) ? needsRestart : immediate).push(...changes);
  }
  for (const name of new Set([...open.keys(), ...after.upstreams.keys()])) {
    for (const key of ADDRESS_KEYS) {
      const [old, wanted] = [open.get(name)?.[key], after.upstreams.get(name)?.[key]];
      const [from, to] = [toText(old), toText(wanted)];
      if (from === to) continue;
      const until =
        old === undefined || key === "pathPrefix" ? "" : ` (until then, ${from} stays open)`;
      needsRestart.push(`upstreams.${name}.${key}: ${from} → ${to}${until}`);
    }
  }
  return { immediate, needsRestart };
}

/**
 * Whether an upstream is to be served elsewhere than it is, and so keeps all its settings until the restart:
 * credentials for an address of this machine alone must not answer at one that others reach.
 */
export function awaitsAddress(
  { name, listen }: UpstreamSettings,
  { before, after, open }: Record<"before" | "after", Settings> & { readonly open: OwnAddresses },
): boolean {
  const opened = open.get(name)?.listen;
  // A new one with an address of its own is served nowhere until then.
  if (listen) return before.upstreams.has(name) && toText(opened) !== toText(listen);
  return opened === undefined && before.listen.host !== after.listen.host;
}

/**
 * What a running cache uses of `cluster` in a changed configuration: who the others are, how they know each other, and
 * as whom it uses the database. Whether there is a cluster at all, where this replica listens, whether it speaks HTTPS,
 * and which database it has, stays until a restart.
 */
export function runningCluster(
  before: ClusterSettings | undefined,
  after: ClusterSettings | undefined,
): ClusterSettings | undefined {
  if (!before || !after) return before;
  const { tls: oldTls, advertise: _, ...kept } = before;
  const { advertise, members, secret, tls = oldTls, database } = after;
  return {
    ...kept,
    members,
    secret,
    ...(advertise ? { advertise } : {}),
    ...(oldTls && tls ? { tls } : {}),
    ...(database && isSameDatabase(before.database, database) ? { database } : {}),
  };
}

/** Clients as they are known otherwise than by a certificate. */
function knownWithout(clients: Settings["clients"]): object | undefined {
  return clients && { ...clients, certificates: undefined };
}

/** Lists are long: that one changed is all that is said. */
function diffWarm(before: Settings["warm"] = [], after: Settings["warm"] = []): string[] {
  const [old, current] = [before, after].map((lists) => {
    return new Map(lists.map((list) => [list.name, JSON.stringify(list)]));
  });
  const names = new Set([...(old?.keys() ?? []), ...(current?.keys() ?? [])]);
  return [...names].flatMap((name) => {
    const [from, to] = [old?.get(name), current?.get(name)];
    if (from === to) return [];
    return [
      `warm.${name}: ${from === undefined ? "added" : to === undefined ? "removed" : "changed"}`,
    ];
  });
}

/** Each by the key of the file that names it. */
function changedTokens(before: WrittenSettings, after: WrittenSettings): string[] {
  const isFile = [before, after].some(({ written }) =>
    written?.some(({ key }) => key === "adminTokenFile"),
  );
  const differ = (right: keyof AdminTokens): boolean =>
    toText(before.adminTokens?.[right]) !== toText(after.adminTokens?.[right]);
  return [
    ...(differ("admin") ? [`adminToken${isFile ? "File" : ""}: changed`] : []),
    ...(differ("read") ? ["readTokenFile: changed"] : []),
  ];
}

/**
 * The tokens that a running cache accepts after a change of the configuration. Where others reach the admin
 * port, it never loses its last one.
 */
export function runningTokens(before: Settings, after: Settings): AdminTokens | undefined {
  if (after.adminTokens || isLoopbackHost(before.admin.host)) return after.adminTokens;
  return before.adminTokens;
}

function isSameDatabase(
  before: DatabaseSettings | undefined,
  after: DatabaseSettings | undefined,
): boolean {
  if (!before || !after) return false;
  const { host, port, database } = after;
  return before.host === host && before.port === port && before.database === database;
}

/** Keys of `cluster` whose changes apply immediately, and those that are shown: the others are or contain secrets. */
const IMMEDIATE_CLUSTER_KEYS = new Set(["advertise", "members", "secret", "tls"]);
const SHOWN_CLUSTER_KEYS = new Set(["listen", "advertise", "members"]);

interface Change {
  readonly change: string;
  readonly isImmediate: boolean;
}

function diffCluster(
  before: ClusterSettings | undefined,
  after: ClusterSettings | undefined,
): readonly Change[] {
  if (!before && !after) return [];
  if (!before || !after) {
    return [{ change: `cluster: ${after ? "added" : "removed"}`, isImmediate: false }];
  }
  const changes: Change[] = [];
  for (const key of keysOf(before, after)) {
    const [from, to] = [toText(Reflect.get(before, key)), toText(Reflect.get(after, key))];
    if (from === to) continue;
    const name = `cluster.${key === "secret" ? "secretFile" : key}`;
    const isSwitched = key === "tls" && (from === "none" || to === "none");
    const what = isSwitched ? (to === "none" ? "removed" : "added") : "changed";
    changes.push({
      change: SHOWN_CLUSTER_KEYS.has(key) ? `${name}: ${from} → ${to}` : `${name}: ${what}`,
      isImmediate:
        key === "database"
          ? isSameDatabase(before.database, after.database)
          : IMMEDIATE_CLUSTER_KEYS.has(key) && !isSwitched,
    });
  }
  return changes;
}

/** All but where it is served. */
function diffUpstream(name: string, before: UpstreamSettings, after: UpstreamSettings): string[] {
  const changes: string[] = [];
  for (const key of keysOf(before, after)) {
    if (ADDRESS_KEYS.some((each) => each === key)) continue;
    const [from, to] = [toText(Reflect.get(before, key)), toText(Reflect.get(after, key))];
    // The cache does not read `adopt`.
    if (from === to || key === "adopt") continue;
    const path = `upstreams.${name}.${FILE_KEYS[key] ?? key}`;
    const line = SECRET_KEYS.has(key) ? `${path}: changed` : `${path}: ${from} → ${to}`;
    changes.push(line);
  }
  return changes;
}

function keysOf(...objects: readonly object[]): Set<string> {
  return new Set(objects.flatMap((object) => Object.keys(object)));
}

function toText(value: unknown): string {
  if (isAddress(value)) return formatAddress(value);
  return value === undefined ? "none" : JSON.stringify(value, shortenCertificates);
}

function isAddress(value: unknown): value is Address {
  if (typeof value !== "object" || value === null) return false;
  const { host, port, ...more }: { host?: unknown; port?: unknown } = value;
  // A database has both, too.
  if (Object.keys(more).length > 0) return false;
  return typeof host === "string" && typeof port === "number";
}

/** Replaces a mirror's CA certificates, which are long PEM text, by their fingerprint. */
function shortenCertificates(key: string, value: unknown): unknown {
  if (key !== "ca" || typeof value !== "string") return value;
  return `sha256:${new Bun.CryptoHasher("sha256").update(value).digest("hex").slice(0, 12)}`;
}
