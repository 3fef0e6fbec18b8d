import { LRUCache } from "lru-cache";
import type { Grant } from "../../access/decision.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RemovalLog } from "../../store/memory/removal-log.ts";
import type { RecordedRoute } from "./route.ts";

/** Larger bodies take longer to send than to look up. In bytes. */
const MAX_BODY = 64 * 1024;

/** Limit for all bodies together, with the overhead of each response. In bytes. */
const MAX_MEMORY = 8 * 1024 * 1024;
const OVERHEAD = 2048;

/** Responses to longer URLs are not cached: a client must not fill the memory with them. */
const MAX_URL_LENGTH = 1024;

/** The parts of a request on which its response depends, besides the Accept header. */
export interface ResponseKey {
  readonly url: string;
  /**
   * The path's components after `/v2/`, percent-decoded. In the URLs that Bun provides, `..` is
   * resolved: the same URL can come from an honest path and from one that must be refused.
   */
  readonly segments: readonly string[];
  /** The port at which the request arrived, if what it serves depends on that. */
  readonly port: object | undefined;
  /** Who asked, where not everybody may have the response. */
  readonly viewer?: string | undefined;
}

/** A complete response with status 200 that was made without asking an upstream. */
export interface CachedResponse {
  readonly route: RecordedRoute;
  readonly path: string;
  readonly digest: Digest;
  readonly body: Blob | Uint8Array<ArrayBuffer>;
  /** Of the body, in bytes. */
  readonly size: number;
  readonly headers: Headers;
  /** As what it was let in. */
  readonly access: Grant;
  /** Who pulled it, for the audit, and by whom alone it may be had: see `ResponseKey`. */
  readonly principal?: string;
  readonly viewer?: string;
  /** Why the tag is not what its registry says, if it is held. */
  readonly held?: string;
  /** The Accept header to which it is the response; absent if it is the same for all of them. */
  readonly accept?: string | null;
  /**
   * While it is fresh, in milliseconds since the epoch: from the first moment on and before the
   * second. A tag may move.
   */
  readonly from: number;
  readonly until: number;
}

/** The state of everything on which responses depend. */
export interface Snapshot {
  readonly revision: number;
  /** The position in the log of removals. */
  readonly removals: number;
}

interface Entry<Cached extends CachedResponse> {
  readonly response: Cached;
  readonly key: ResponseKey;
  readonly snapshot: Snapshot;
}

/**
 * Small responses of a moment ago, to be sent again without any lookup (LRU). A change of what is
 * visible, or of the configuration, invalidates all of them. The removal of a blob invalidates the
 * responses made of that blob alone, since during eviction blobs are removed all the time.
 */
export class ResponseCache<Cached extends CachedResponse = CachedResponse> {
  readonly #removals: Pick<RemovalLog, "now" | "since">;
  readonly #revisions: readonly (() => number)[];
  readonly #entries: LRUCache<string, Entry<Cached>>;
  #ownRevision = 0;

  /**
   * @param options.revisions numbers that increase with each change of something responses depend on
   * @param options.memory in bytes
   */
  constructor(
    removals: Pick<RemovalLog, "now" | "since">,
    {
      revisions = [],
      memory = MAX_MEMORY,
    }: { readonly revisions?: readonly (() => number)[]; readonly memory?: number } = {},
  ) {
    this.#removals = removals;
    this.#revisions = revisions;
    this.#entries = new LRUCache({
      maxSize: memory,
      sizeCalculation: ({ response }) => response.size + OVERHEAD,
    });
  }

  /** To be read before a response is made that is to be cached. */
  get snapshot(): Snapshot {
    return { revision: this.#revision, removals: this.#removals.now };
  }

  get #revision(): number {
    // Each of them only increases, so an equal sum means that none has changed.
    let sum = this.#ownRevision;
    for (const revision of this.#revisions) sum += revision();
    return sum;
  }

  /** @param now milliseconds since the epoch */
  get(key: ResponseKey, accept: string | null, now: number): Cached | undefined {
    const entry = this.#entries.get(nameOf(key));
    if (!entry || !isSameKey(entry.key, key)) return undefined;
    const { response } = entry;
    if (response.accept !== undefined && response.accept !== accept) return undefined;
    // The start counts too: a clock that was set back must not keep a tag fresh for ever.
    const isFresh = now >= response.from && now < response.until;
    return isFresh && this.#isValid(entry) ? response : undefined;
  }

  /**
   * For everybody, or else for whoever asks.
   *
   * @param asker.viewer is called only where there is none for everybody
   */
  getFor(
    key: ResponseKey,
    {
      accept,
      viewer,
    }: { readonly accept: string | null; readonly viewer: () => string | undefined },
    now: number,
  ): Cached | undefined {
    const cached = this.get(key, accept, now);
    if (cached) return cached;
    const name = viewer();
    return name === undefined ? undefined : this.get({ ...key, viewer: name }, accept, now);
  }

  /** @param snapshot from before the response was made */
  set(key: ResponseKey, response: Cached, snapshot: Snapshot): void {
    if (response.size > MAX_BODY || key.url.length > MAX_URL_LENGTH) return;
    const entry = { response, key, snapshot };
    if (this.#isValid(entry)) this.#entries.set(nameOf(key), entry);
  }

  /** For changes that none of the revisions count, such as one of the configuration. */
  clear(): void {
    this.#ownRevision += 1;
    this.#entries.clear();
  }

  #isValid({ snapshot, response }: Entry<Cached>): boolean {
    if (snapshot.revision !== this.#revision) return false;
    return !this.#removals.since(snapshot.removals, response.digest);
  }
}

/** No URL has a space in it. */
function nameOf({ url, viewer }: ResponseKey): string {
  return viewer === undefined ? url : `${url} ${viewer}`;
}

function isSameKey(one: ResponseKey, other: ResponseKey): boolean {
  if (one.port !== other.port || one.segments.length !== other.segments.length) return false;
  return one.segments.every((segment, index) => segment === other.segments[index]);
}
