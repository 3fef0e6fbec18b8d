import type { UpstreamName } from "../oci/names.ts";
import type { Pattern } from "./parsing/glob-pattern.ts";
import type { ProxyRule } from "./parsing/proxy.ts";

/** Where to listen. Port 0 lets the system choose one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Credentials that a program of Docker's gives, `docker-credential-<helper>`. */
export interface HelperCredentials {
  readonly helper: string;
  /** What the program is asked for. */
  readonly server: string;
  /** Where it was configured, for messages. */
  readonly from?: string;
}

export type CredentialSource = Credentials | HelperCredentials;

/** A certificate, with those between it and its authority behind it, and its key: both in PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** What nodes are shown, and where it was read. */
export interface ServerIdentity extends Identity {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Another address with an upstream's content, asked first and without credentials. */
export interface Mirror {
  readonly url: URL;
  readonly allowPrivate: boolean;
  /** Its path takes the place of `/v2`, as containerd's `override_path`. */
  readonly overridePath: boolean;
  /** Whether it is asked where tags point to; content is asked of it in any case. */
  readonly resolve: boolean;
  /** Authorities that are trusted for it in the place of the upstream's, in PEM. */
  readonly ca?: string;
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
  readonly credentials?: CredentialSource;
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
  /** Asked in order before `url`. */
  readonly mirrors?: readonly Mirror[];
  /** Through which proxy it is reached; absent for none. */
  readonly proxy?: ProxyRule;
  /** Authorities that are trusted for it besides the usual ones, in PEM. */
  readonly ca?: string;
  /** Shown to a registry that asks for a certificate. */
  readonly client?: Identity;
  /** How long after its last check a tag may still stand in for an upstream that fails, in milliseconds; absent for ever. */
  readonly staleFor?: number;
  /** The only repositories that are served; absent for all. */
  readonly allow?: readonly Pattern[];
  /** Repositories that are not served. */
  readonly deny?: readonly Pattern[];
  /** Repositories that are passed through and never stored. */
  readonly bypass?: readonly Pattern[];
  /** Tags that never move: they are not asked about again. */
  readonly immutableTags?: readonly Pattern[];
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
  /** Shown at `listen` and at the ports of upstreams, which then speak HTTPS alone. */
  readonly tls?: ServerIdentity;
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
