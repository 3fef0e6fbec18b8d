import { LRUCache } from "lru-cache";
import type { Tag } from "../../oci/names.ts";
import type { TagRef, RepositoryRef, TagRecord, Tags } from "../metadata-store.ts";

/** About 2 MB of memory when full. */
const MAX_ENTRIES = 4096;

/** Tags that were asked for a moment ago, as `RememberedLinks` has links. */
export class CachedTags implements Tags {
  readonly #tags: Tags;
  readonly #cache: LRUCache<string, TagRecord>;
  #writes = 0;

  constructor(tags: Tags, remembered: number = MAX_ENTRIES) {
    this.#tags = tags;
    this.#cache = new LRUCache({ max: remembered });
  }

  /** Grows with every write, before and after it. */
  get revision(): number {
    return this.#writes;
  }

  async get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined> {
    const key = keyOf(repo, tag);
    const known = this.#cache.get(key);
    if (known) return known;
    const writes = this.#writes;
    const record = await this.#tags.get(repo, tag);
    // An answer that a write has overtaken may be the fact of before.
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
