import { LRUCache } from "lru-cache";
import { Fault } from "../oci/fault.ts";
import type { Digest } from "../oci/digest.ts";
import type { FactFiles } from "../store/fact-files.ts";
import type { Index, Place } from "../store/index.ts";

/** A manifest as it was learnt; learnt again after it was forgotten, it is another one. */
interface Known {
  readonly mediaType: string;
}

/** Tags whose fact file is known to say the same: about 2 MB of memory when full. */
const KNOWN_TAGS = 8192;
/** Types of manifests that tags may be written beside: about 1 MB when full. */
const KNOWN_TYPES = 8192;

/**
 * The index as the pull path writes it: what cannot be written must not fail a pull, since it is
 * learnt again when it is needed, and manifests and tags are written beside the content as well.
 */
export class DurableFacts {
  readonly index: Index;
  readonly #files: FactFiles | undefined;
  readonly #forgotten: (fault: Fault) => void;
  readonly #tags = new LRUCache<string, Known>({ max: KNOWN_TAGS });
  readonly #types = new LRUCache<Digest, Known>({ max: KNOWN_TYPES });

  constructor(index: Index, files: FactFiles | undefined, forgotten: (fault: Fault) => void) {
    this.#files = files;
    this.#forgotten = forgotten;
    const { tags, links, contents, listings } = index;
    this.index = {
      pins: index.pins,
      close: () => index.close(),
      tags: {
        get: (place, tag) => tags.get(place, tag),
        list: (place) => tags.list(place),
        all: (limit, last) => tags.all(limit, last),
        remove: (place, tag) => this.#try(() => tags.remove(place, tag)),
        put: async (place, tag, fact) => {
          await this.#try(() => tags.put(place, tag, fact));
          const key = `${place.upstream}/${place.repository}:${tag}`;
          const known = this.#types.get(fact.digest);
          if (!known || !files || this.#tags.get(key) === known) return;
          this.#tags.set(key, known);
          const { mediaType } = known;
          const { digest, checkedAt: at } = fact;
          await this.#try(() => files.remember(digest, { mediaType, place, tag, at }));
        },
      },
      links: {
        get: (place, digest) => links.get(place, digest),
        places: (digest, limit) => links.places(digest, limit),
        upstreams: (digest) => links.upstreams(digest),
        repositories: (upstream, limit, last) => links.repositories(upstream, limit, last),
        add: (place, added) => this.#try(() => links.add(place, added)),
        remove: (place, digest) => this.#try(() => links.remove(place, digest)),
        removeAll: (digest, upstream) => this.#try(() => links.removeAll(digest, upstream)),
      },
      contents: {
        get: (digest) => contents.get(digest),
        leastUsed: (limit, last, upstream) => contents.leastUsed(limit, last, upstream),
        storedBefore: (moment, upstream, limit) => contents.storedBefore(moment, upstream, limit),
        page: (limit, last) => contents.page(limit, last),
        among: (digests) => contents.among(digests),
        total: () => contents.total(),
        totalOf: (upstream) => contents.totalOf(upstream),
        put: (content, now) => this.#try(() => contents.put(content, now)),
        remove: (digest) => this.#try(() => contents.remove(digest)),
        used: (times) => contents.used(times),
      },
      listings: {
        get: (place, key) => listings.get(place, key),
        put: (place, key, listing) => this.#try(() => listings.put(place, key, listing)),
      },
    };
  }

  /** A manifest was stored, and seen at a place. */
  async learned(
    place: Place,
    { digest, mediaType }: { readonly digest: Digest; readonly mediaType: string },
  ): Promise<void> {
    if (this.#types.get(digest)?.mediaType !== mediaType) this.#types.set(digest, { mediaType });
    await this.#try(async () =>
      this.#files?.remember(digest, { mediaType, place, at: Date.now() }),
    );
  }

  /** It is no longer stored, and what was written beside it may be gone as well. */
  forget(digest: Digest): void {
    this.#types.delete(digest);
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#forgotten(error);
    }
  }
}
