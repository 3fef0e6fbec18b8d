import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { WriteBehind } from "../write-behind.ts";
import { keyOf } from "./manifest-store.ts";
import type { PullMetadata } from "./pull-metadata.ts";
import type { TagRecords } from "./tag-records.ts";

/** Of one that is forgotten, it is written again, which changes nothing. */
const MAX_TAGS = 10_000;

/** Notes when a client first got a digest for a tag. Nobody waits for it. */
export class ServedTags {
  readonly #history: Pick<PullMetadata["tagHistory"], "served">;
  readonly #records: Pick<TagRecords, "written">;
  readonly #behind: WriteBehind;
  readonly #now: () => number;
  /** By tag, the digest of which it is noted. */
  readonly #noted = new LRUCache<string, Digest>(growingTo(MAX_TAGS));

  constructor(
    history: Pick<PullMetadata["tagHistory"], "served">,
    records: Pick<TagRecords, "written">,
    behind: WriteBehind,
    now: () => number,
  ) {
    this.#history = history;
    this.#records = records;
    this.#behind = behind;
    this.#now = now;
  }

  note(repo: RepositoryRef, tag: Tag, digest: Digest): void {
    const key = keyOf(repo, tag);
    if (this.#noted.get(key) === digest) return;
    this.#noted.set(key, digest);
    const at = this.#now();
    void this.#behind.run(async () => {
      // Of what is not recorded, nothing can be noted.
      await this.#records.written(repo, tag);
      await this.#history.served(repo, tag, digest, at);
    });
  }
}
