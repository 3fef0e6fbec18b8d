import { LRUCache } from "lru-cache";
import type { Tag } from "../../oci/names.ts";
import type { TagRef, RepositoryRef, TagRecord, Tags } from "../metadata-store.ts";

/** About 2 MB of memory when full. */
const REMEMBERED = 4096;

/** Tags that were asked for a moment ago, as `RememberedLinks` has links. */
export class CachedTags implements Tags {
  readonly #tags: Tags;
  readonly #memory: LRUCache<string, TagRecord>;
  #writes = 0;

  constructor(tags: Tags, remembered: number = REMEMBERED) {
    this.#tags = tags;
    this.#memory = new LRUCache({ max: remembered });
  }

  /** Grows with every write, before and after it. */
  get revision(): number {
    return this.#writes;
  }

  async get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined> {
    const key = keyOf(repo, tag);
    const known = this.#memory.get(key);
    if (known) return known;
    const writes = this.#writes;
    const fact = await this.#tags.get(repo, tag);
    // An answer that a write has overtaken may be the fact of before.
    if (fact && writes === this.#writes) this.#memory.set(key, fact);
    return fact;
  }

  put(repo: RepositoryRef, tag: Tag, fact: TagRecord): Promise<void> {
    return this.#write(keyOf(repo, tag), () => this.#tags.put(repo, tag, fact));
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
    this.#memory.delete(key);
    try {
      await write();
    } finally {
      this.#writes += 1;
      this.#memory.delete(key);
    }
  }
}

function keyOf({ upstream, repository }: RepositoryRef, tag: Tag): string {
  return `${upstream}/${repository}:${tag}`;
}
