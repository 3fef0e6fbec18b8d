import type { UpstreamName } from "../oci/names.ts";

/** Where to listen. Port 0 lets the system choose one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** One upstream, complete: every default is filled in. */
export interface UpstreamSettings {
  readonly name: UpstreamName;
  /** Scheme, host and port, and for registries below a path that path without a trailing slash. */
  readonly url: URL;
  /** A node-facing port at which this upstream needs no namespace. */
  readonly port?: number;
  /** How long a tag is served without asking again, in milliseconds. */
  readonly tagTtl: number;
  readonly credentials?: Credentials;
  /** Whether addresses inside (loopback, private, link-local) may be dialled for this upstream. */
  readonly allowPrivate: boolean;
  /** Hosts beside the upstream's own registrable domain whose token endpoint may see the credentials. */
  readonly trustedRealms: readonly string[];
  /** Requests to it that may be under way at once, metadata apart. */
  readonly maxConnections: number;
  /** Bytes of its content that are kept; unset where only the store's own bound counts. */
  readonly maxSize?: number;
  /** How long its content is kept from storing on, in milliseconds; unset for ever. */
  readonly maxAge?: number;
}

/** How much is kept. All in bytes. */
export interface StorageSettings {
  /** Unset: 80 % of what the disk has free at the start, and of what is kept already. */
  readonly maxSize?: number;
  /** Unset: 1 GiB, or 5 % of a disk that is smaller than 20 GiB. */
  readonly minFree?: number;
  /** How much of what is kept is read and verified per second, in the background; 0 for none. */
  readonly scrub: number;
}

export interface Settings {
  readonly listen: Address;
  readonly admin: Address;
  /** What has to be shown at the admin port; absent where it is on loopback and open to this machine. */
  readonly adminToken?: string;
  readonly dataDirectory: string;
  readonly storage: StorageSettings;
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamSettings>;
}

/** What is configured where nothing is: the registries that most clusters pull from. */
export const DEFAULT_UPSTREAMS = [
  "docker.io",
  "ghcr.io",
  "quay.io",
  "registry.k8s.io",
  "reg.kyverno.io",
] as const;

export const DOCKER_HUB = "docker.io";

/** Other names under which clients mean an upstream. */
export const UPSTREAM_ALIASES: ReadonlyMap<string, string> = new Map([
  ["registry-1.docker.io", DOCKER_HUB],
  ["index.docker.io", DOCKER_HUB],
]);

export function defaultUrl(name: string): string {
  return name === DOCKER_HUB ? "https://registry-1.docker.io" : `https://${name}`;
}
