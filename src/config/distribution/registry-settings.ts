import type { Origin, RunningPlace } from "../foreign/imported-config.ts";
import type { RegistryData } from "../registry-data.ts";
import type { Reach } from "./reach.ts";
import type { Setting } from "./setting.ts";
import type { Surroundings } from "./surroundings.ts";

export type { Setting } from "./setting.ts";

/** The data directory of a registry, and the mount or setting that says so. */
export interface DataSetting {
  readonly data: RegistryData;
  readonly from: Origin;
}

/** The settings of one registry:2 or registry:3. */
export interface RegistrySettings {
  /** The config file, the Compose service or the `docker run` command. */
  readonly from: Origin;
  /** Settings by their path in config.yml: `proxy.remoteurl`, `http.addr`. */
  readonly settings: Map<string, Setting>;
  /** The Compose service or the container that runs it, if that has a name. */
  readonly runsIn?: RunningPlace | undefined;
  /** Whether its container has the network of the host. */
  readonly isOnHostNetwork?: boolean;
  /** From where a registry in a container can be reached. Absent for a config.yml alone. */
  readonly reach?: Reach;
  /** The file with `proxy.password` on the host, where a command reads it from one. */
  readonly passwordFile?: Setting;
  /** What its requests depend on. Absent for a config.yml alone. */
  readonly surroundings?: Surroundings;
  /** Whether paths in the settings refer to the container's file system. */
  readonly isInContainer?: boolean;
  /** Maps a path in the container to one on the host; undefined if it is not in a bind mount. */
  readonly hostPath?: (containerPath: string) => string | undefined;
  /** The data directory on the host, if it differs from `storage.filesystem.rootdirectory`. */
  data?: DataSetting;
}

/**
 * Settings without an equivalent. The longest matching path applies. An empty text means nothing to
 * report.
 */
const UNSUPPORTED_REASONS: Readonly<Record<string, string>> = {
  version: "",
  log: "each request is logged to standard output: see --log-format and --log-level",
  loglevel: "see --log-level",
  storage: "the cache has its own data directory: see storage.dir",
  "storage.filesystem": "",
  "storage.filesystem.maxthreads": "not needed: the kernel reads the files",
  "storage.cache": "not needed: the kernel caches files that are in use",
  "storage.delete": "not needed: clients cannot delete images",
  "storage.maintenance": "not needed: there are no uploads to purge",
  "storage.redirect": "not needed: blobs are served from disk",
  "storage.tag": "not needed",
  "storage.s3": "blobs in object storage cannot be adopted: they are fetched again",
  "storage.gcs": "blobs in object storage cannot be adopted: they are fetched again",
  "storage.azure": "blobs in object storage cannot be adopted: they are fetched again",
  "storage.inmemory": "blobs are stored on disk",
  auth: "",
  middleware: "not supported",
  http: "not needed",
  "http.host": "not needed: URLs in responses are relative",
  "http.secret": "not needed: there are no uploads",
  "http.relativeurls": "not needed: URLs in responses are relative",
  "http.tls": "only the certificate and its key are imported",
  "http.tls.clientcas": "",
  "http.tls.letsencrypt": "",
  "http.debug": "metrics are at the address of `admin`, under /metrics",
  "http.headers": "not needed",
  "http.http2": "nodes are served over HTTP/1.1 only",
  "http.h2c": "nodes are served over HTTP/1.1 only",
  "http.net": "",
  notifications: "not supported",
  redis: "not needed: the metadata is in storage.dir",
  health: "health checks are at the address of `admin`, under /healthz and /readyz",
  validation: "not needed: blobs are verified against their digests",
  policy: "not supported: images and other artifacts are served alike",
  compatibility: "schema 1 manifests are rejected",
  catalog: "not needed",
  reporting: "not supported",
};

/** Why a setting is not imported; empty if there is nothing to report. */
export function unsupportedReason(setting: string): string {
  const parts = setting.split(".");
  for (let length = parts.length; length > 0; length -= 1) {
    const reason = UNSUPPORTED_REASONS[parts.slice(0, length).join(".")];
    if (reason !== undefined) return reason;
  }
  return "unknown setting";
}
