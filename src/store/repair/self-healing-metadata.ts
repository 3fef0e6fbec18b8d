import type { Contents, Index, Links, Listings, Pins, Tags } from "../metadata-store.ts";
import { isDamage } from "../sql/sqlite-file.ts";

/** An index that breaks again sooner than this is not made anew again, in milliseconds: its disk is broken. */
const AT_MOST_EVERY = 60_000;

/**
 * An index that is replaced when it turns out to be damaged while it is used. Who asked is answered
 * by the new one, which knows nothing yet.
 */
export class HealingIndex implements Index {
  readonly tags: Tags;
  readonly links: Links;
  readonly contents: Contents;
  readonly listings: Listings;
  readonly pins: Pins;
  #index: Index;
  readonly #replace: (damaged: Index, reason: string) => Promise<Index>;
  #replacing: Promise<void> | undefined;
  #replacedAt = -Infinity;
  /** Revisions of those before this one. */
  #past = 0;

  /** @param replace closes the damaged one, and opens one in its place */
  constructor(index: Index, replace: (damaged: Index, reason: string) => Promise<Index>) {
    this.#index = index;
    this.#replace = replace;
    this.tags = {
      get: (place, tag) => this.#ask(({ tags }) => tags.get(place, tag)),
      put: (place, tag, fact) => this.#ask(({ tags }) => tags.put(place, tag, fact)),
      remove: (place, tag) => this.#ask(({ tags }) => tags.remove(place, tag)),
      list: (place) => this.#ask(({ tags }) => tags.list(place)),
      all: (limit, last) => this.#ask(({ tags }) => tags.all(limit, last)),
    };
    this.links = {
      get: (place, digest) => this.#ask(({ links }) => links.get(place, digest)),
      add: (place, added) => this.#ask(({ links }) => links.add(place, added)),
      remove: (place, digest) => this.#ask(({ links }) => links.remove(place, digest)),
      removeAll: (digest, upstream) => this.#ask(({ links }) => links.removeAll(digest, upstream)),
      places: (digest, limit) => this.#ask(({ links }) => links.places(digest, limit)),
      upstreams: (digest) => this.#ask(({ links }) => links.upstreams(digest)),
      seenIn: (upstream, digests) => this.#ask(({ links }) => links.seenIn(upstream, digests)),
      digests: (limit, last) => this.#ask(({ links }) => links.digests(limit, last)),
      forget: (digests) => this.#ask(({ links }) => links.forget(digests)),
      repositories: (upstream, limit, last) =>
        this.#ask(({ links }) => links.repositories(upstream, limit, last)),
    };
    this.contents = {
      get: (digest) => this.#ask(({ contents }) => contents.get(digest)),
      put: (content, now) => this.#ask(({ contents }) => contents.put(content, now)),
      remove: (digests, until) => this.#ask(({ contents }) => contents.remove(digests, until)),
      leastUsed: (limit, last) => this.#ask(({ contents }) => contents.leastUsed(limit, last)),
      storedBefore: (moment, limit, last) =>
        this.#ask(({ contents }) => contents.storedBefore(moment, limit, last)),
      page: (limit, last) => this.#ask(({ contents }) => contents.page(limit, last)),
      among: (digests) => this.#ask(({ contents }) => contents.among(digests)),
      used: (times) => this.#ask(({ contents }) => contents.used(times)),
      notAfter: (now) => this.#ask(({ contents }) => contents.notAfter(now)),
      total: () => this.#ask(({ contents }) => contents.total()),
    };
    this.listings = {
      get: (place, key) => this.#ask(({ listings }) => listings.get(place, key)),
      put: (place, key, listing) => this.#ask(({ listings }) => listings.put(place, key, listing)),
      forgetBefore: (moment, limit) =>
        this.#ask(({ listings }) => listings.forgetBefore(moment, limit)),
    };
    this.pins = {
      list: () => this.#ask(({ pins }) => pins.list()),
      put: (pin) => this.#ask(({ pins }) => pins.put(pin)),
      remove: (pattern) => this.#ask(({ pins }) => pins.remove(pattern)),
    };
  }

  get revision(): number {
    return this.#past + this.#index.revision;
  }

  bytes(): Promise<number> {
    return this.#ask((index) => index.bytes());
  }

  shrink(): Promise<void> {
    return this.#ask((index) => index.shrink());
  }

  close(): Promise<void> {
    return this.#index.close();
  }

  async #ask<Answer>(question: (index: Index) => Promise<Answer>): Promise<Answer> {
    const index = this.#index;
    try {
      return await question(index);
    } catch (error) {
      if (index === this.#index) await this.#heal(index, error);
      // What failed since the other one was being closed says nothing of this one.
      if (index === this.#index) throw error;
      return question(this.#index);
    }
  }

  async #heal(damaged: Index, error: unknown): Promise<void> {
    if (!this.#replacing) {
      if (!isDamage(error) || performance.now() - this.#replacedAt < AT_MOST_EVERY) return;
    }
    const reason = error instanceof Error ? error.message : String(error);
    this.#replacing ??= this.#put(damaged, reason).finally(() => {
      this.#replacing = undefined;
    });
    await this.#replacing;
  }

  async #put(damaged: Index, reason: string): Promise<void> {
    this.#replacedAt = performance.now();
    const index = await this.#replace(damaged, reason);
    this.#past += damaged.revision + 1;
    this.#index = index;
  }
}
