import type { ProcessKey } from "../../access/process-key.ts";
import { viewerOf } from "../../access/viewer.ts";
import type { IncomingRequest } from "../pull/incoming-request.ts";
import { type CachedResponse, ResponseCache, type ResponseKey } from "../pull/response-cache.ts";
import type { Hit, Hits, Kept } from "./messages.ts";
import type { RevisionMemory } from "./revision-memory.ts";

/** Of the responses of one worker, in bytes. */
const MAX_MEMORY = 8 * 1024 * 1024;
/** How long hits wait until they are told, and how many of them at most. */
const DELAY_MS = 100;
const MAX_HITS = 1024;
/** Versions to come may be longer than the 55 characters of today's. What clients send must not pile up here. */
const MAX_TRACEPARENT = 256;

/** A response whose route is plain. */
type Known = CachedResponse & Pick<Kept, "route">;

/**
 * Small responses that a worker has sent before, and sends again without asking. What changes in the main thread
 * shows in the shared state, and each request looks there.
 */
export class KnownHits {
  readonly #responses: ResponseCache<Known>;
  readonly #key: ProcessKey;
  readonly #tell: (hits: readonly Hits[]) => void;
  #hits = new Map<Known, Hit[]>();
  #count = 0;
  #timer: Timer | undefined;

  constructor(shared: RevisionMemory, key: ProcessKey, tell: (hits: readonly Hits[]) => void) {
    this.#key = key;
    this.#tell = tell;
    this.#responses = new ResponseCache<Known>(shared, {
      revisions: [() => shared.revision],
      memory: MAX_MEMORY,
    });
  }

  /** @param port stands for the port at which the request arrived */
  answer({ request, segments, address }: IncomingRequest, port: object): Response | undefined {
    if (request.method !== "GET") return undefined;
    const startedAt = performance.now();
    const { headers, url } = request;
    const now = Date.now();
    const known = this.#responses.getFor(
      { url, segments, port },
      { accept: headers.get("accept"), viewer: () => viewerOf(this.#key, headers) },
      now,
    );
    if (!known || headers.has("range") || headers.has("if-none-match")) return undefined;
    const userAgent = headers.get("user-agent") ?? "";
    this.#count += 1;
    const traceparent = headers.get("traceparent");
    const hit = {
      address,
      userAgent,
      at: now,
      milliseconds: performance.now() - startedAt,
      ...(traceparent === null || traceparent.length > MAX_TRACEPARENT ? {} : { traceparent }),
    };
    const others = this.#hits.get(known);
    if (others) others.push(hit);
    else this.#hits.set(known, [hit]);
    if (this.#count >= MAX_HITS) this.tell();
    else this.#timer ??= setTimeout(() => this.tell(), DELAY_MS);
    return new Response(known.body, { headers: known.headers });
  }

  add(key: ResponseKey, { snapshot, ...kept }: Kept, body: Blob, headers: Headers): void {
    const { viewer } = kept;
    this.#responses.set({ ...key, viewer }, { ...kept, body, headers }, snapshot);
  }

  /** Tells the hits so far. */
  tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#count === 0) return;
    const hits = [...this.#hits].map(
      ([{ path, route, digest, size, access, principal, held }, requests]) => ({
        path,
        access,
        principal,
        held,
        route,
        digest,
        size,
        requests,
      }),
    );
    this.#hits = new Map();
    this.#count = 0;
    this.#tell(hits);
  }
}
