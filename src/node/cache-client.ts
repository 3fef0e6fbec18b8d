import { z } from "zod";
import { secondsText } from "../oci/seconds-text.ts";
import { parseUpstreamName } from "../oci/names.ts";

export type CacheFaultKind =
  | "unreachable"
  | "timeout"
  /** TLS failed: an unknown CA, a certificate for another name, or a server that speaks no TLS. */
  | "tls"
  /** A web site or a captive portal. */
  | "html"
  /** A registry other than Entrepot. */
  | "other-registry"
  | "not-entrepot"
  | "unhealthy";

export class CacheFault extends Error {
  override readonly name = "CacheFault";

  constructor(
    readonly kind: CacheFaultKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A request of this node's address that the cache served, from `/entrepot/v1/served`. */
export interface ServedRecord {
  readonly namespace: string;
  readonly repository: string;
  readonly reference: string;
  readonly kind: string;
  readonly status: number;
  /** Milliseconds since the epoch, by the cache's clock. */
  readonly at: number;
}

/** A request of this node's address that the cache refused, from `/entrepot/v1/served`. */
export interface RefusedRecord {
  readonly namespace: string;
  readonly repository: string;
  readonly status: number;
  /** A code of distribution-spec. */
  readonly code: string;
  readonly message: string;
  readonly at: number;
}

/** What the cache serves, by the names that images have. */
export interface ServedRegistries {
  readonly names: string[];
  /** Those for which it asks for credentials. */
  readonly asking: readonly string[];
}

/** What this node got of the cache in the last minutes, oldest first. */
export interface RecentRequests {
  readonly served: readonly ServedRecord[];
  readonly refused: readonly RefusedRecord[];
}

const namespacesResponse = z.object({
  namespaces: z.array(z.string()),
  /** Absent from caches of earlier versions, which ask for nothing. */
  asks: z.record(z.string(), z.string()).default({}),
});
const servedResponse = z.object({
  /** Absent from caches of earlier versions. */
  address: z.string().optional(),
  served: z.array(
    z.object({
      namespace: z.string(),
      repository: z.string(),
      reference: z.string(),
      kind: z.string(),
      status: z.number(),
      at: z.number(),
    }),
  ),
  // Absent from caches of earlier versions.
  refused: z
    .array(
      z.object({
        namespace: z.string(),
        repository: z.string(),
        status: z.number(),
        code: z.string(),
        message: z.string(),
        at: z.number(),
      }),
    )
    .default([]),
});
const imagesResponse = z.object({
  images: z.array(z.object({ namespace: z.string(), reference: z.string() })),
});

const TIMEOUT_MS = 5_000;
/** For the first request to a cache, whose URL may be wrong. */
const FIRST_MS = 2_500;

/** A client of the cache's endpoints for nodes. Every method rejects with a CacheFault. */
export class CacheClient {
  constructor(
    /** Without a trailing slash. */
    readonly url: string,
    /** PEM of the CA of the cache's certificate, if the system does not trust it. */
    readonly ca?: string,
  ) {}

  async health(timeoutMs = FIRST_MS): Promise<void> {
    const response = await this.#get("/healthz", timeoutMs);
    await response.body?.cancel();
    if (!response.ok) {
      throw new CacheFault("unhealthy", `${this.url}/healthz responds with ${response.status}`);
    }
  }

  async namespaces(timeoutMs = FIRST_MS): Promise<string[]> {
    return (await this.registries(timeoutMs)).names;
  }

  async registries(timeoutMs = FIRST_MS): Promise<ServedRegistries> {
    const parsed = namespacesResponse.safeParse(
      await this.#json("/entrepot/v1/namespaces", timeoutMs),
    );
    if (!parsed.success) throw this.#unexpectedResponse();
    const names = [...new Set(parsed.data.namespaces)];
    // Root creates directories with these names. A `..` from a cache would be a path traversal.
    const invalid = names.find((name) => parseUpstreamName(name) !== name);
    const { asks } = parsed.data;
    const asking = names.filter((name) => Object.hasOwn(asks, name));
    if (invalid === undefined) return { names, asking };
    const what = `${this.url} lists ${JSON.stringify(invalid)}, which is not a valid registry name`;
    throw new CacheFault("not-entrepot", what);
  }

  async recent(timeoutMs = TIMEOUT_MS): Promise<RecentRequests> {
    const parsed = servedResponse.safeParse(
      await this.#json("/entrepot/v1/served?since=0", timeoutMs),
    );
    if (parsed.success) return parsed.data;
    throw this.#unexpectedResponse();
  }

  /** The address that this node has for the cache, if that tells. */
  async ownAddress(timeoutMs = TIMEOUT_MS): Promise<string | undefined> {
    const far = Number.MAX_SAFE_INTEGER;
    const path = `/entrepot/v1/served?since=${far}`;
    return servedResponse.safeParse(await this.#json(path, timeoutMs)).data?.address;
  }

  /**
   * An image that the cache can serve without asking the registry. Undefined if it has none, or does not
   * tell, as caches of earlier versions.
   *
   * @param platform such as `linux/amd64`
   */
  async offered(
    namespace: string,
    platform: string,
    timeoutMs = TIMEOUT_MS,
  ): Promise<string | undefined> {
    const path = `/entrepot/v1/images?platform=${encodeURIComponent(platform)}`;
    const response = await this.#get(path, timeoutMs);
    if (!response.ok) {
      await response.body?.cancel();
      return undefined;
    }
    const parsed = imagesResponse.safeParse(await response.json().catch(() => undefined));
    if (!parsed.success) return undefined;
    // What the cache names is pulled by root: only by digest, and of the registry that was asked for.
    return parsed.data.images.find(
      (it) =>
        it.namespace === namespace &&
        it.reference.startsWith(`${namespace}/`) &&
        /^[a-z0-9._:/-]+@sha256:[0-9a-f]{64}$/.test(it.reference),
    )?.reference;
  }

  #unexpectedResponse(): CacheFault {
    const what = `${this.url} is not an Entrepot cache: its response has an unexpected format`;
    return new CacheFault("not-entrepot", what);
  }

  /** Rejects unless the cache serves this namespace (`_default`: any registry) to a runtime. */
  async requireNamespace(namespace: string, timeoutMs = TIMEOUT_MS): Promise<void> {
    const query = namespace === "_default" ? "" : `?ns=${encodeURIComponent(namespace)}`;
    const response = await this.#get(`/v2/${query}`, timeoutMs);
    await response.body?.cancel();
    // With `access`, it asks at once who pulls. The runtime tells it, or goes on to the registry.
    const challenge = response.headers.get("www-authenticate") ?? "";
    const isAsking = response.status === 401 && challenge.includes('realm="entrepot"');
    if (response.status === 200 || isAsking) return;
    const what = `${this.url} responds with ${response.status} for the namespace ${namespace}`;
    throw new CacheFault("unhealthy", what);
  }

  async #json(path: string, timeoutMs: number): Promise<unknown> {
    const response = await this.#get(path, timeoutMs);
    const type = response.headers.get("content-type") ?? "";
    if (response.ok && /\bjson\b/.test(type)) {
      try {
        return await response.json();
      } catch (cause) {
        const what = `${this.url}${path} does not respond with valid JSON`;
        throw new CacheFault("not-entrepot", what, { cause });
      }
    }
    await response.body?.cancel();
    throw await this.#identify(response.status, type, timeoutMs);
  }

  /** Finds out what kind of server responds at the URL, if it is not an Entrepot cache. */
  async #identify(status: number, type: string, timeoutMs: number): Promise<CacheFault> {
    const registry = await this.#get("/v2/", timeoutMs).catch(() => undefined);
    await registry?.body?.cancel();
    const mark = registry?.headers.get("docker-distribution-api-version");
    if (mark !== null && mark !== undefined) {
      const what = `${this.url} is a registry but not an Entrepot cache: it cannot prove what it served`;
      return new CacheFault("other-registry", what);
    }
    const kind = registry?.headers.get("content-type") ?? type;
    if (/text\/html/.test(type) || /text\/html/.test(kind)) {
      const what = `${this.url} responds with a web page (text/html): no runtime can pull from it`;
      return new CacheFault("html", what);
    }
    const what = `${this.url} is not an Entrepot cache: it responds with ${status}`;
    return new CacheFault("not-entrepot", what);
  }

  async #get(path: string, timeoutMs: number): Promise<Response> {
    try {
      return await fetch(this.url + path, {
        signal: AbortSignal.timeout(timeoutMs),
        redirect: "manual",
        headers: { "User-Agent": "entrepot-node" },
        ...(this.ca === undefined ? {} : { tls: { ca: this.ca } }),
      });
    } catch (error) {
      throw connectionFault(this.url, error, timeoutMs);
    }
  }
}

function connectionFault(url: string, error: unknown, timeoutMs: number): CacheFault {
  const because = { cause: error };
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (error instanceof DOMException && error.name === "TimeoutError") {
    const advice = "is the address right, and does a firewall let this machine through?";
    const what = `${url} did not respond within ${secondsText(timeoutMs / 1000)}: ${advice}`;
    return new CacheFault("timeout", what, because);
  }
  if (/CERT|TLS|SSL|certificate/i.test(`${code} ${text}`)) {
    const advice = "does it speak plain http://, or is its CA missing (--ca)?";
    return new CacheFault("tls", `${url}: TLS failed (${text}): ${advice}`, because);
  }
  if (code === "ECONNRESET" && url.startsWith("http://")) {
    const advice = "if it speaks TLS, write https://";
    return new CacheFault("unreachable", `${url} closed the connection: ${advice}`, because);
  }
  return new CacheFault("unreachable", unreachableText(url, code, text), because);
}

/** In words of our own: the runtime's are about a computer that is to access a url. */
function unreachableText(url: string, code: string, text: string): string {
  switch (code) {
    case "ConnectionRefused":
    case "ECONNREFUSED":
      return `${url} refuses the connection: is the cache running there, and is the port right?`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "DNSException":
      return `${url} cannot be reached: this machine finds no address for ${new URL(url).hostname}`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `${url} cannot be reached: this machine has no route to it`;
    default:
      return `${url} cannot be reached: ${text}`;
  }
}
