import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import type { Tag } from "../../oci/names.ts";
import type { TagRef, RepositoryRef, TagRecord, Tags } from "../metadata-store.ts";
import { QUERIES_PER_TURN } from "./cached-links.ts";

/** How many records the cache holds at most: about 2 MB of memory. */
const MAX_ENTRIES = 4096;

/** An LRU cache of tag records, as `CachedLinks` is one of links. */
export class CachedTags implements Tags {
  readonly #tags: Tags;
  readonly #cache: LRUCache<string, TagRecord>;
  readonly #queries = new TurnLimiter(QUERIES_PER_TURN);
  #writes = 0;

  constructor(tags: Tags, maxEntries: number = MAX_ENTRIES) {
    this.#tags = tags;
    this.#cache = new LRUCache(growingTo(maxEntries));
  }

  /** Grows with each write, when it begins and when it has ended. */
  get revision(): number {
    return this.#writes;
  }

  async get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined> {
    const key = keyOf(repo, tag);
    const cached = this.#cache.get(key);
    if (cached) return cached;
    await this.#queries.begin();
    const writes = this.#writes;
    const record = await this.#tags.get(repo, tag);
    // If a write began or ended meanwhile, this may be the record from before it.
    if (record && writes === this.#writes) this.#cache.set(key, record);
    return record;
  }

  put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void> {
    return this.#write(keyOf(repo, tag), () => this.#tags.put(repo, tag, record));
  }

  remove(repo: RepositoryRef, tag: Tag): Promise<void> {
    return this.#write(keyOf(repo, tag), () => this.#tags.remove(repo, tag));
  }

  list(repo: RepositoryRef): Promise<Tag[]> {
    return this.#tags.list(repo);
  }

  all(limit: number, last?: TagRef): Promise<(TagRef & TagRecord)[]> {
    return this.#tags.all(limit, last);
  }

  async #write(key: string, write: () => Promise<void>): Promise<void> {
    this.#writes += 1;
    this.#cache.delete(key);
    try {
      await write();
    } finally {
      this.#writes += 1;
      this.#cache.delete(key);
    }
  }
}

function keyOf({ upstream, repository }: RepositoryRef, tag: Tag): string {
  return `${upstream}/${repository}:${tag}`;
}
