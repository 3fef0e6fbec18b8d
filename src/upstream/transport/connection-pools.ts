import { LRUCache } from "lru-cache";
import { type ProxyRule, proxyFor } from "../../config/parsing/proxy.ts";
import type { Identity } from "../../config/settings.ts";
import type { Downloads, OpenDownloads } from "../http1/downloads.ts";
import { isIpLiteral } from "./address.ts";
import { tlsOptions } from "./tls-options.ts";

/** The most pools with idle connections, by LRU: CDN host names change often. */
const MAX_POOLS = 256;

/** Seconds after which an idle connection is closed. */
const IDLE_TIMEOUT = 60;

/** Where a request goes, and what secures its connection. */
export interface ConnectionTarget {
  /** The upstream's name: for messages, and so that upstreams never share connections. */
  readonly upstream: string;
  /** Its path and query are sent unchanged; its user and password never are. */
  readonly url: URL;
  /** CA certificates that are trusted in addition to the public ones, in PEM. */
  readonly ca?: string | undefined;
  /** The client certificate for mutual TLS, presented if the host requests one. */
  readonly client?: Identity | undefined;
  readonly proxy?: ProxyRule | undefined;
}

/** The connections of one upstream to one host. */
export interface ConnectionPool {
  readonly session: Bun.FetchSession;
  /** Blobs are read by these, at the pace at which they are written. */
  readonly downloads: Downloads;
  /** The address that responded last. It is tried first while DNS still returns it. */
  lastGood?: string | undefined;
}

/**
 * A connection pool for each upstream, origin and set of TLS options. With fewer pools, Bun would reuse a
 * TLS connection whose certificate was verified for another name at the same address.
 */
export class ConnectionPools {
  readonly #defaultCa: string | undefined;
  readonly #downloads: OpenDownloads;
  readonly #pools = new LRUCache<string, ConnectionPool>({
    max: MAX_POOLS,
    dispose: (pool) => {
      pool.session.close();
      pool.downloads.close();
    },
  });

  /** @param defaultCa CA certificates for targets that set none of their own, in PEM */
  constructor(defaultCa: string | undefined, downloads: OpenDownloads) {
    this.#defaultCa = defaultCa;
    this.#downloads = downloads;
  }

  get({ upstream, url, ca = this.#defaultCa, client, proxy }: ConnectionTarget): ConnectionPool {
    const name =
      isIpLiteral(url.hostname) || proxyFor(proxy, url) ? {} : { serverName: url.hostname };
    const { tls, fingerprint } = tlsOptions(ca, client);
    const key = `${upstream} ${url.origin} ${fingerprint}`;
    const existing = this.#pools.get(key);
    if (existing) return existing;
    const options = { ...name, ...tls };
    const pool: ConnectionPool = {
      downloads: this.#downloads(url.protocol === "https:" ? options : undefined),
      session: new Bun.FetchSession({
        tls: options,
        keepAlive: { idleTimeout: IDLE_TIMEOUT },
      }),
    };
    this.#pools.set(key, pool);
    return pool;
  }

  /** Closes idle connections. Requests in flight finish. */
  close(): void {
    this.#pools.clear();
  }
}
