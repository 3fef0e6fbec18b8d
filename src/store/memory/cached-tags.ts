import { LRUCache } from "lru-cache";
import type { Tag } from "../../oci/names.ts";
import type { NamedTag, Place, TagFact, Tags } from "../metadata-store.ts";

/** About 2 MB of memory when full. */
const REMEMBERED = 4096;

/** Tags that were asked for a moment ago, as `RememberedLinks` has links. */
export class RememberedTags implements Tags {
  readonly #tags: Tags;
  readonly #memory: LRUCache<string, TagFact>;
  #writes = 0;

  constructor(tags: Tags, remembered: number = REMEMBERED) {
    this.#tags = tags;
    this.#memory = new LRUCache({ max: remembered });
  }

  /** Grows with every write, before and after it. */
  get revision(): number {
    return this.#writes;
  }

  async get(place: Place, tag: Tag): Promise<TagFact | undefined> {
    const key = keyOf(place, tag);
    const known = this.#memory.get(key);
    if (known) return known;
    const writes = this.#writes;
    const fact = await this.#tags.get(place, tag);
    // An answer that a write has overtaken may be the fact of before.
    if (fact && writes === this.#writes) this.#memory.set(key, fact);
    return fact;
  }

  put(place: Place, tag: Tag, fact: TagFact): Promise<void> {
    return this.#write(keyOf(place, tag), () => this.#tags.put(place, tag, fact));
  }

  remove(place: Place, tag: Tag): Promise<void> {
    return this.#write(keyOf(place, tag), () => this.#tags.remove(place, tag));
  }

  list(place: Place): Promise<Tag[]> {
    return this.#tags.list(place);
  }

  all(limit: number, last?: NamedTag): Promise<(NamedTag & TagFact)[]> {
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

function keyOf({ upstream, repository }: Place, tag: Tag): string {
  return `${upstream}/${repository}:${tag}`;
}
