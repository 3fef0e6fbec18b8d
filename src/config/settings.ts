import type { AccessSettings } from "./access/access-settings.ts";
import type { ClientsSettings } from "./access/clients-settings.ts";
import type { CloudCredentials } from "./cloud/cloud-credentials.ts";
import type { ClusterSettings } from "./cluster-settings.ts";
import type { KubernetesSettings } from "./kubernetes-api/kubernetes-settings.ts";
import type { AdminTokens } from "./operator/admin-token.ts";
import type { AuditSettings } from "./operator/audit-settings.ts";
import type { EventSettings } from "./operator/event-settings.ts";
import type { Address } from "./parsing/address.ts";
import type { UpstreamName } from "../oci/names.ts";
import type { GlobPattern } from "./parsing/glob-pattern.ts";
import type { ProxyRule } from "./parsing/proxy.ts";
import type { PolicyRule } from "./policies/policy-settings.ts";
import type { RateSchedule } from "./parsing/rate-schedule.ts";
import type { WantedSettings } from "./warm/wanted-settings.ts";
import type { RegistryData } from "./registry-data.ts";
import type { TracingSettings } from "./tracing/tracing-settings.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /**
   * Whom they were issued to, where that is known and the password changes all the time: another password of the
   * same is no other account.
   */
  readonly issuedTo?: string;
}

/** Credentials from a Docker credential helper. */
export interface HelperCredentials {
  /** The name of a program in PATH, such as `docker-credential-pass`, or an absolute path. */
  readonly program: string;
  /** The server name to pass to the program. */
  readonly server: string;
  /**
   * How long its credentials are used before it is run again, in milliseconds. Absent: until the
   * expiry that they state, or for a quarter of an hour.
   */
  readonly ttl?: number;
  /** Where the helper was configured (`file:line:column`), for messages. */
  readonly from?: string;
}

/** Credentials that are fetched when they are needed, and replaced. */
export type FetchedCredentialSource = HelperCredentials | CloudCredentials;

export type CredentialSource = Credentials | FetchedCredentialSource;

export function isFetched(source: CredentialSource): source is FetchedCredentialSource {
  return "program" in source || "cloud" in source;
}

/** A TLS certificate, followed by its intermediate certificates, and its private key. Both are PEM text. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** The server certificate for nodes, and the files that it was read from. */
export interface ServerIdentity extends Identity {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A mirror of an upstream. It is asked before the upstream, and without credentials. */
export interface Mirror {
  readonly url: URL;
  readonly allowPrivate: boolean;
  /** Whether the path of `url` replaces `/v2`, as with containerd's `override_path`. */
  readonly overridePath: boolean;
  /** Whether the mirror is asked to resolve tags. Manifests and blobs by digest are requested in any case. */
  readonly resolve: boolean;
  /** CA certificates to trust for the mirror instead of the upstream's `ca`, as PEM text. */
  readonly ca?: string;
}

/** The settings of one upstream, with all defaults applied. */
export interface UpstreamSettings {
  readonly name: UpstreamName;
  /** The URL of the registry; its path, if any, has no trailing slash. */
  readonly url: URL;
  /** An additional node-facing port, at the host of `listen`, on which requests need no namespace. */
  readonly port?: number;
  /**
   * The only address at which this upstream is served. Requests need no namespace there, and can
   * have no other. Absent: it is served at every other node-facing address.
   */
  readonly listen?: Address;
  /** A path before `/v2/` that requests to the upstream's address may have: `/cache/`. */
  readonly pathPrefix?: string;
  /** How long a tag is served without revalidation, in milliseconds. */
  readonly tagTtl: number;
  /**
   * How long cached content is still served, after its last check and `tagTtl`, while the registry
   * refuses access (401 or 403). In milliseconds.
   */
  readonly revokedAfter: number;
  readonly credentials?: CredentialSource;
  /** Whether the cache may connect to loopback, private and link-local addresses for this upstream. */
  readonly allowPrivate: boolean;
  /** Hosts outside the upstream's registrable domain whose token endpoints may receive the credentials. */
  readonly trustedRealms: readonly string[];
  /** Maximum number of concurrent blob requests, 1 to 96. */
  readonly maxConnections: number;
  /** How fast it and its mirrors may send. Absent: only the limit of all upstreams applies. */
  readonly maxRate?: RateSchedule;
  /** Quota for the stored blobs of this upstream, in bytes. Absent: only the store's limit applies. */
  readonly maxSize?: number;
  /** How long a blob is kept after it was stored, in milliseconds. Absent: without limit. */
  readonly maxAge?: number;
  /** Mirrors, in the order in which they are asked before `url`. */
  readonly mirrors?: readonly Mirror[];
  /** The proxy rule for this upstream. Absent: direct connections. */
  readonly proxy?: ProxyRule;
  /** CA certificates to trust in addition to the public ones, as PEM text. */
  readonly ca?: string;
  /** The client certificate for a registry that requests one. */
  readonly client?: Identity;
  /**
   * How long after its last check a stale tag may be served while the upstream fails, in milliseconds.
   * Absent: without limit.
   */
  readonly staleFor?: number;
  /** Who may pull. Absent: whoever reaches the cache. */
  readonly access?: AccessSettings;
  /** Repositories that are served. Absent: all. */
  readonly allow?: readonly GlobPattern[];
  /** Repositories that are not served, even if `allow` matches. */
  readonly deny?: readonly GlobPattern[];
  /** Repositories whose responses are streamed without being stored. */
  readonly bypass?: readonly GlobPattern[];
  /** Whether the other layers of an image that is being pulled are downloaded before clients ask for them. */
  readonly prefetch: "on" | "off";
  /** Tags that never move and are never revalidated. */
  readonly immutableTags?: readonly GlobPattern[];
  /** The data of a registry:2 that was its proxy, for `entrepot adopt --from`. The cache does not use it. */
  readonly adopt?: RegistryData;
}

/** The limits of the store. All sizes are in bytes. */
export interface StorageSettings {
  /**
   * Maximum size of the store. Absent: 80 % of the sum of the free disk space at the start and the
   * store's size.
   */
  readonly maxSize?: number;
  /** Free disk space to maintain. Absent: 1 GiB, or 5 % of a disk that is smaller than 20 GiB. */
  readonly minFree?: number;
  /** How many stored bytes the background scrub verifies per second. 0 disables the scrub. */
  readonly scrub: number;
  readonly history: HistorySettings;
}

/** Which contents of tags that have moved are evicted last. */
export interface HistorySettings {
  /** The latest digests of each tag, and how many of them. */
  readonly digests: number;
  /** Those that were last seen so many milliseconds ago, however many. */
  readonly seenWithin: number;
  /** The part of `maxSize` that they may take: 0 to 1. */
  readonly share: number;
}

const DEFAULT_HISTORY: HistorySettings = {
  digests: 3,
  seenWithin: 7 * 86_400_000,
  share: 0.2,
};

/** Bytes per second. Verifies 1 TB in three days, with a few percent of the disk's and the CPU's time. */
const DEFAULT_SCRUB = 4 * 1024 * 1024;

/** What is configured, with defaults where nothing is. */
export function storageSettings({
  maxSize,
  minFree,
  scrub = DEFAULT_SCRUB,
  history = {},
}: {
  readonly [Key in Exclude<keyof StorageSettings, "history">]?: number | undefined;
} & {
  readonly history?: { readonly [Key in keyof HistorySettings]?: number | undefined } | undefined;
}): StorageSettings {
  const { digests, seenWithin, share } = history;
  return {
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(minFree === undefined ? {} : { minFree }),
    scrub,
    history: {
      digests: digests ?? DEFAULT_HISTORY.digests,
      seenWithin: seenWithin ?? DEFAULT_HISTORY.seenWithin,
      share: share ?? DEFAULT_HISTORY.share,
    },
  };
}

export interface Settings extends WantedSettings {
  readonly listen: Address;
  readonly admin: Address;
  /** The bearer tokens for the admin port. Absent only if the port is on loopback. */
  readonly adminTokens?: AdminTokens;
  /** The server certificate of the admin port, which then accepts only HTTPS. */
  readonly adminTls?: ServerIdentity;
  /** The server certificate for `listen` and the ports of upstreams, which then accept only HTTPS. */
  readonly tls?: ServerIdentity;
  /** The clients that this cache knows itself. Absent: none. */
  readonly clients?: ClientsSettings;
  /** How many threads accept connections of nodes; `auto`: as the machine has processors for. */
  readonly workers: number | "auto";
  readonly dataDirectory: string;
  readonly storage: StorageSettings;
  /** How fast all upstreams together may send. Absent: without limit. */
  readonly maxRate?: RateSchedule;
  /** Absent: nothing is traced. */
  readonly tracing?: TracingSettings;
  /** Absent: this cache works alone. */
  readonly cluster?: ClusterSettings;
  /** The cluster whose images are wanted. Absent: none is read. */
  readonly kubernetes?: KubernetesSettings;
  /** Who is told of what happens. Absent: nobody. */
  readonly events?: EventSettings;
  /** Where it is recorded who pulled what. Absent: nowhere. */
  readonly audit?: AuditSettings;
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamSettings>;
  /** How old digests must be before tags have them, and who must have signed them. Absent: nothing is asked of them. */
  readonly policies?: readonly PolicyRule[];
}

/** The address that belongs to one upstream, if there is one. */
export function addressOf(
  { port, listen }: UpstreamSettings,
  { listen: main }: Pick<Settings, "listen">,
): Address | undefined {
  return listen ?? (port === undefined ? undefined : { host: main.host, port });
}

/** The default upstreams: the registries that most clusters pull from. */
export const DEFAULT_UPSTREAMS = [
  "docker.io",
  "ghcr.io",
  "quay.io",
  "registry.k8s.io",
  "reg.kyverno.io",
] as const;

/** More threads than any machine needs that has one main thread. */
const MAX_WORKERS = 64;

/** Parses the number of threads that accept connections. */
export function parseWorkers(text: string): number | "auto" | undefined {
  const value = text.trim();
  if (value === "auto") return value;
  const count = /^\d{1,2}$/.test(value) ? Number(value) : 0;
  return count >= 1 && count <= MAX_WORKERS ? count : undefined;
}

export const DOCKER_HUB = "docker.io";

/** Alternative names of upstreams in requests and configurations. */
export const UPSTREAM_ALIASES: ReadonlyMap<string, string> = new Map([
  ["registry-1.docker.io", DOCKER_HUB],
  ["index.docker.io", DOCKER_HUB],
]);

export function defaultUrl(name: string): string {
  return name === DOCKER_HUB ? "https://registry-1.docker.io" : `https://${name}`;
}
