import type { BlobRecords, MetadataStore, Links, Listings, Pins, Tags } from "../metadata-store.ts";
import { isDamage } from "../sql/sqlite-file.ts";

/** An index that breaks again sooner than this is not made anew again, in milliseconds: its disk is broken. */
const AT_MOST_EVERY = 60_000;

/**
 * An index that is replaced when it turns out to be damaged while it is used. Who asked is answered
 * by the new one, which knows nothing yet.
 */
export class SelfHealingMetadata implements MetadataStore {
  readonly tags: Tags;
  readonly links: Links;
  readonly blobs: BlobRecords;
  readonly listings: Listings;
  readonly pins: Pins;
  #metadata: MetadataStore;
  readonly #replace: (damaged: MetadataStore, reason: string) => Promise<MetadataStore>;
  #replacing: Promise<void> | undefined;
  #replacedAt = -Infinity;
  /** Revisions of those before this one. */
  #past = 0;

  /** @param replace closes the damaged one, and opens one in its place */
  constructor(
    metadata: MetadataStore,
    replace: (damaged: MetadataStore, reason: string) => Promise<MetadataStore>,
  ) {
    this.#metadata = metadata;
    this.#replace = replace;
    this.tags = {
      get: (repo, tag) => this.#ask(({ tags }) => tags.get(repo, tag)),
      put: (repo, tag, fact) => this.#ask(({ tags }) => tags.put(repo, tag, fact)),
      remove: (repo, tag) => this.#ask(({ tags }) => tags.remove(repo, tag)),
      list: (repo) => this.#ask(({ tags }) => tags.list(repo)),
      all: (limit, last) => this.#ask(({ tags }) => tags.all(limit, last)),
    };
    this.links = {
      get: (repo, digest) => this.#ask(({ links }) => links.get(repo, digest)),
      add: (repo, added) => this.#ask(({ links }) => links.add(repo, added)),
      remove: (repo, digest) => this.#ask(({ links }) => links.remove(repo, digest)),
      removeAll: (digest, upstream) => this.#ask(({ links }) => links.removeAll(digest, upstream)),
      repositoriesOf: (digest, limit) =>
        this.#ask(({ links }) => links.repositoriesOf(digest, limit)),
      upstreams: (digest) => this.#ask(({ links }) => links.upstreams(digest)),
      visibleIn: (upstream, digests) =>
        this.#ask(({ links }) => links.visibleIn(upstream, digests)),
      digests: (limit, last) => this.#ask(({ links }) => links.digests(limit, last)),
      removeUnstored: (digests) => this.#ask(({ links }) => links.removeUnstored(digests)),
      repositories: (upstream, limit, last) =>
        this.#ask(({ links }) => links.repositories(upstream, limit, last)),
    };
    this.blobs = {
      get: (digest) => this.#ask(({ blobs: contents }) => contents.get(digest)),
      put: (content, now) => this.#ask(({ blobs: contents }) => contents.put(content, now)),
      remove: (digests, until) =>
        this.#ask(({ blobs: contents }) => contents.remove(digests, until)),
      leastRecentlyUsed: (limit, last) =>
        this.#ask(({ blobs: contents }) => contents.leastRecentlyUsed(limit, last)),
      storedBefore: (moment, limit, last) =>
        this.#ask(({ blobs: contents }) => contents.storedBefore(moment, limit, last)),
      page: (limit, last) => this.#ask(({ blobs: contents }) => contents.page(limit, last)),
      find: (digests) => this.#ask(({ blobs: contents }) => contents.find(digests)),
      touch: (times) => this.#ask(({ blobs: contents }) => contents.touch(times)),
      clampTimes: (now) => this.#ask(({ blobs: contents }) => contents.clampTimes(now)),
      total: () => this.#ask(({ blobs: contents }) => contents.total()),
    };
    this.listings = {
      get: (repo, key) => this.#ask(({ listings }) => listings.get(repo, key)),
      put: (repo, key, listing) => this.#ask(({ listings }) => listings.put(repo, key, listing)),
      removeBefore: (moment, limit) =>
        this.#ask(({ listings }) => listings.removeBefore(moment, limit)),
    };
    this.pins = {
      list: () => this.#ask(({ pins }) => pins.list()),
      put: (pin) => this.#ask(({ pins }) => pins.put(pin)),
      remove: (pattern) => this.#ask(({ pins }) => pins.remove(pattern)),
    };
  }

  get revision(): number {
    return this.#past + this.#metadata.revision;
  }

  bytes(): Promise<number> {
    return this.#ask((metadata) => metadata.bytes());
  }

  shrink(): Promise<void> {
    return this.#ask((metadata) => metadata.shrink());
  }

  close(): Promise<void> {
    return this.#metadata.close();
  }

  async #ask<Answer>(question: (metadata: MetadataStore) => Promise<Answer>): Promise<Answer> {
    const metadata = this.#metadata;
    try {
      return await question(metadata);
    } catch (error) {
      if (metadata === this.#metadata) await this.#heal(metadata, error);
      // What failed since the other one was being closed says nothing of this one.
      if (metadata === this.#metadata) throw error;
      return question(this.#metadata);
    }
  }

  async #heal(damaged: MetadataStore, error: unknown): Promise<void> {
    if (!this.#replacing) {
      if (!isDamage(error) || performance.now() - this.#replacedAt < AT_MOST_EVERY) return;
    }
    const reason = error instanceof Error ? error.message : String(error);
    this.#replacing ??= this.#put(damaged, reason).finally(() => {
      this.#replacing = undefined;
    });
    await this.#replacing;
  }

  async #put(damaged: MetadataStore, reason: string): Promise<void> {
    this.#replacedAt = performance.now();
    const metadata = await this.#replace(damaged, reason);
    this.#past += damaged.revision + 1;
    this.#metadata = metadata;
  }
}
