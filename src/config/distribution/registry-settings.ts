import type { Origin } from "../foreign/imported-config.ts";

/** A setting of a registry, and where it was written. */
export interface Fact {
  readonly value: string;
  readonly from: Origin;
}

/** What is known of one registry that runs as a pull-through cache. */
export interface RegistrySettings {
  /** The file or the service as a whole. */
  readonly from: Origin;
  /** By the path in config.yml: `proxy.remoteurl`, `http.addr`. */
  readonly settings: Map<string, Fact>;
  /** The port by which nodes reach it, where that is not `http.addr`'s. */
  port?: Fact;
  /** Whether its paths are a container's and not this machine's. */
  readonly isContained?: boolean;
  /** Where a file of the container is on this machine; undefined where it is not. */
  readonly place?: (inside: string) => string | undefined;
  /** Its data on this machine, where that is not `storage.filesystem.rootdirectory`. */
  folder?: Fact;
}

/** Settings that were read, but have no equal. The longest path that fits counts. */
const WHY_NOT: Readonly<Record<string, string>> = {
  version: "",
  log: "a line per request is logged to standard output: --log-format, --log-level",
  loglevel: "logged to standard output: --log-level",
  storage: "a cache of its own is kept in storage.dir",
  "storage.filesystem": "",
  "storage.filesystem.maxthreads": "not needed: files are read by the kernel",
  "storage.cache": "not needed: what is hot is kept by the kernel",
  "storage.delete": "not needed: nothing is deleted from outside",
  "storage.maintenance": "not needed: there are no uploads to purge",
  "storage.redirect": "not needed: content is served from disk",
  "storage.tag": "not needed",
  "storage.s3": "content in object storage cannot be adopted: it is fetched anew",
  "storage.gcs": "content in object storage cannot be adopted: it is fetched anew",
  "storage.azure": "content in object storage cannot be adopted: it is fetched anew",
  "storage.inmemory": "content is kept on disk",
  auth: "clients are not asked who they are: see SECURITY.md before you open the port",
  middleware: "there is none",
  http: "not needed",
  "http.host": "not needed: addresses in answers are relative",
  "http.secret": "not needed: there are no uploads",
  "http.relativeurls": "not needed: addresses in answers are relative",
  "http.tls": "of TLS the certificate and its key are carried over, and nothing else",
  "http.tls.clientcas": "clients are not asked for certificates",
  "http.tls.letsencrypt": "no certificate is fetched: name one as tls.certificate and tls.key",
  "http.debug": "metrics are at the address `admin`, under /metrics",
  "http.headers": "not needed",
  "http.http2": "HTTP/1.1 alone is spoken to nodes",
  "http.h2c": "HTTP/1.1 alone is spoken to nodes",
  "http.net": "a unix socket cannot be listened at",
  notifications: "there are none",
  redis: "not needed: the index is in storage.dir",
  health: "/healthz and /readyz at the address `admin`",
  "proxy.exec": "helpers for credentials are not run: write auth.username and auth.passwordFile",
  validation: "not needed: content is checked against its digest",
  policy: "images only are served, as any other content",
  compatibility: "manifests of schema 1 are refused",
  catalog: "not needed",
  reporting: "there is none",
};

/** Why a setting has no equal; empty where nothing need be said. */
export function whyNot(setting: string): string {
  const parts = setting.split(".");
  for (let length = parts.length; length > 0; length -= 1) {
    const reason = WHY_NOT[parts.slice(0, length).join(".")];
    if (reason !== undefined) return reason;
  }
  return "it is not known what it does";
}
