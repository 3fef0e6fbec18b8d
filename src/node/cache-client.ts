import { z } from "zod";
import { parseUpstreamName } from "../oci/names.ts";

export type CacheFaultKind =
  | "unreachable"
  | "timeout"
  /** TLS failed: an unknown authority, another name, or no TLS at all there. */
  | "tls"
  /** Some web site, or a captive portal. */
  | "html"
  /** A registry, and not this cache. */
  | "other-registry"
  | "not-entrepot"
  | "unwell";

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

/** Something that the cache served to this node's address. */
export interface ServedRecord {
  readonly namespace: string;
  readonly repository: string;
  readonly reference: string;
  readonly kind: string;
  readonly status: number;
  /** Milliseconds of the epoch, by the cache's clock. */
  readonly at: number;
}

const namespacesAnswer = z.object({ namespaces: z.array(z.string()) });
const servedAnswer = z.object({
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
});

/** The cache's URL as hosts.toml shall have it, or what is wrong with it and what to write. */
export function parseCacheUrl(text: string): { url: string } | { problem: string } {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return { problem: `has no scheme: write http://${text} or https://${text}` };
  }
  const url = URL.parse(text);
  if (!url) return { problem: "is no URL: write http://host:port" };
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    return { problem: `has the scheme ${url.protocol.slice(0, -1)}: write http:// or https://` };
  }
  if (url.username || url.password) return { problem: "holds credentials: leave them out" };
  if (url.search || url.hash) return { problem: "has a query or a fragment: leave it out" };
  if (url.pathname !== "/") {
    return { problem: `has a path: write ${url.origin}, since the cache answers at its root` };
  }
  return { url: url.origin };
}

const TIMEOUT_MS = 5_000;

/** Asks a cache what a node may know of it. Every method rejects with a CacheFault. */
export class CacheClient {
  constructor(
    /** Without a trailing slash. */
    readonly url: string,
    /** PEM of the authority of its certificate, where it is no public one. */
    readonly ca?: string,
  ) {}

  async health(timeoutMs = TIMEOUT_MS): Promise<void> {
    const response = await this.#get("/healthz", timeoutMs);
    await response.body?.cancel();
    if (!response.ok) {
      throw new CacheFault("unwell", `${this.url}/healthz answers ${response.status}`);
    }
  }

  async namespaces(timeoutMs = TIMEOUT_MS): Promise<string[]> {
    const answer = namespacesAnswer.safeParse(
      await this.#json("/entrepot/v1/namespaces", timeoutMs),
    );
    if (answer.success) {
      const names = [...new Set(answer.data.namespaces)];
      // They become names of directories that root writes: `..` from a cache must not lead elsewhere.
      const odd = names.find((name) => parseUpstreamName(name) !== name);
      if (odd === undefined) return names;
      const what = `${this.url} says that it serves ${JSON.stringify(odd)}, which is no registry`;
      throw new CacheFault("not-entrepot", what);
    }
    throw new CacheFault("not-entrepot", `${this.url} is no entrepot: its answer has another form`);
  }

  /** What it served to this node in the last minutes, the newest last. */
  async served(timeoutMs = TIMEOUT_MS): Promise<ServedRecord[]> {
    const answer = servedAnswer.safeParse(
      await this.#json("/entrepot/v1/served?since=0", timeoutMs),
    );
    if (answer.success) return answer.data.served;
    throw new CacheFault("not-entrepot", `${this.url} is no entrepot: its answer has another form`);
  }

  /** Whether it would answer a runtime for this namespace. */
  async answersFor(namespace: string, timeoutMs = TIMEOUT_MS): Promise<void> {
    const query = namespace === "_default" ? "" : `?ns=${encodeURIComponent(namespace)}`;
    const response = await this.#get(`/v2/${query}`, timeoutMs);
    await response.body?.cancel();
    if (response.status === 200) return;
    const what = `${this.url} answers ${response.status} for the namespace ${namespace}`;
    throw new CacheFault("unwell", what);
  }

  async #json(path: string, timeoutMs: number): Promise<unknown> {
    const response = await this.#get(path, timeoutMs);
    const type = response.headers.get("content-type") ?? "";
    if (response.ok && /\bjson\b/.test(type)) {
      try {
        return await response.json();
      } catch (cause) {
        throw new CacheFault("not-entrepot", `${this.url}${path} is no JSON`, { cause });
      }
    }
    await response.body?.cancel();
    throw await this.#stranger(response.status, type, timeoutMs);
  }

  /** What answers there, if it is not a cache. */
  async #stranger(status: number, type: string, timeoutMs: number): Promise<CacheFault> {
    const registry = await this.#get("/v2/", timeoutMs).catch(() => undefined);
    await registry?.body?.cancel();
    const mark = registry?.headers.get("docker-distribution-api-version");
    if (mark !== null && mark !== undefined) {
      const what = `${this.url} is a registry, and no entrepot: nothing would prove what it serves`;
      return new CacheFault("other-registry", what);
    }
    const kind = registry?.headers.get("content-type") ?? type;
    if (/text\/html/.test(type) || /text\/html/.test(kind)) {
      const what = `${this.url} answers with a web page (text/html): containerd would fail on it`;
      return new CacheFault("html", what);
    }
    return new CacheFault("not-entrepot", `${this.url} is no entrepot: it answers ${status}`);
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
    return new CacheFault("timeout", `${url} did not answer within ${timeoutMs} ms`, because);
  }
  if (/CERT|TLS|SSL|certificate/i.test(`${code} ${text}`)) {
    const advice = "is it http://, or does --ca have to name its authority?";
    return new CacheFault("tls", `${url}: TLS failed (${text}): ${advice}`, because);
  }
  if (code === "ECONNRESET" && url.startsWith("http://")) {
    const question = "does it speak TLS? Then write https://";
    return new CacheFault("unreachable", `${url} closed the connection: ${question}`, because);
  }
  return new CacheFault("unreachable", `${url} cannot be reached: ${text}`, because);
}
