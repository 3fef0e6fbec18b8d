import { Fault } from "../../oci/fault.ts";
import type { Digest } from "../../oci/digest.ts";
import type { FactFiles } from "../../store/disk/sidecar-files.ts";
import type { Tag } from "../../oci/names.ts";
import type { Index, Place, TagFact } from "../../store/metadata-store.ts";
import type { Growth } from "../quota-events.ts";

export interface DurableFactsOptions {
  readonly files?: FactFiles | undefined;
  readonly growth?: Growth | undefined;
  /** Told of what could not be written. */
  readonly forgotten: (fault: Fault) => void;
}

/**
 * The index as the pull path writes it: what cannot be written must not fail a pull, since it is
 * learnt again when it is needed, and manifests and tags are written beside the content as well.
 */
export class DurableFacts {
  readonly index: Index;
  readonly #files: FactFiles | undefined;
  readonly #forgotten: (fault: Fault) => void;

  constructor(index: Index, { files, growth, forgotten }: DurableFactsOptions) {
    this.#files = files;
    this.#forgotten = forgotten;
    const { tags, links, contents, listings } = index;
    this.index = {
      pins: index.pins,
      get revision() {
        return index.revision;
      },
      bytes: () => index.bytes(),
      shrink: () => index.shrink(),
      close: () => index.close(),
      tags: {
        get: (place, tag) => tags.get(place, tag),
        list: (place) => tags.list(place),
        all: (limit, last) => tags.all(limit, last),
        remove: async (place, tag) => {
          const before = await tags.get(place, tag);
          await this.#try(() => tags.remove(place, tag));
          if (before) await this.#try(async () => files?.forgetTag(before.digest, place, tag));
        },
        put: async (place, tag, fact) => {
          const before = await tags.get(place, tag);
          await this.#try(() => tags.put(place, tag, fact));
          await this.#try(() => this.#writeTag(place, tag, fact, before));
        },
      },
      links: {
        get: (place, digest) => links.get(place, digest),
        places: (digest, limit) => links.places(digest, limit),
        upstreams: (digest) => links.upstreams(digest),
        digests: (limit, last) => links.digests(limit, last),
        forget: (digests) => links.forget(digests),
        repositories: (upstream, limit, last) => links.repositories(upstream, limit, last),
        seenIn: (upstream, digests) => links.seenIn(upstream, digests),
        add: async (place, added) => {
          await this.#try(() => links.add(place, added));
          growth?.linked(
            place.upstream,
            added.map(({ digest }) => digest),
          );
        },
        remove: (place, digest) => this.#try(() => links.remove(place, digest)),
        removeAll: (digest, upstream) => this.#try(() => links.removeAll(digest, upstream)),
      },
      contents: {
        get: (digest) => contents.get(digest),
        leastUsed: (limit, last) => contents.leastUsed(limit, last),
        storedBefore: (moment, limit, last) => contents.storedBefore(moment, limit, last),
        page: (limit, last) => contents.page(limit, last),
        among: (digests) => contents.among(digests),
        total: () => contents.total(),
        put: async (content, now) => {
          await this.#try(() => contents.put(content, now));
          growth?.stored(content.digest, content.size);
        },
        remove: (digests, until) => this.#try(() => contents.remove(digests, until)),
        used: (times) => contents.used(times),
        notAfter: (now) => contents.notAfter(now),
      },
      listings: {
        get: (place, key) => listings.get(place, key),
        put: (place, key, listing) => this.#try(() => listings.put(place, key, listing)),
        forgetBefore: (moment, limit) => listings.forgetBefore(moment, limit),
      },
    };
  }

  /** A manifest was stored, and seen at a place. */
  async learned(
    place: Place,
    { digest, mediaType }: { readonly digest: Digest; readonly mediaType: string },
  ): Promise<void> {
    await this.#try(async () =>
      this.#files?.remember(digest, { mediaType, place, at: Date.now() }),
    );
  }

  /** A tag stands beside one manifest: the one that it leads to. */
  async #writeTag(
    place: Place,
    tag: Tag,
    { digest, checkedAt: at }: TagFact,
    before: TagFact | undefined,
  ): Promise<void> {
    const files = this.#files;
    if (!files || files.has(digest, place, tag)) return;
    const mediaType = (await this.index.contents.get(digest))?.mediaType;
    if (mediaType !== undefined) await files.remember(digest, { mediaType, place, tag, at });
    if (before && before.digest !== digest) await files.forgetTag(before.digest, place, tag);
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
