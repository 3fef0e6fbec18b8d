import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import type { TagStay } from "../../store/tag-history.ts";
import type { WriteBehind } from "../write-behind.ts";
import { keyOf, type ManifestStore } from "./manifest-store.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** That a tag was recorded which was unknown, or pointed elsewhere. */
export interface TagChange {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  readonly digest: Digest;
  /** Absent if nothing was known of the tag. */
  readonly previous?: Digest;
}

/** Who is told of changes. */
export interface TagChanges {
  /** Else nobody looks at what was before. */
  readonly isWatched: boolean;
  changed(change: TagChange): void;
}

interface UnwrittenRecord {
  readonly record: TagRecord;
  /** Resolves once it is written, or cannot be. */
  readonly ended: Promise<void>;
}

/**
 * Tags as pulls see them. A new record is seen at once, and written once its manifest is stored: a tag
 * must never point to what cannot be served.
 */
export class TagRecords {
  readonly #tags: PullMetadata["tags"];
  readonly #manifests: Pick<ManifestStore, "stored">;
  readonly #behind: WriteBehind;
  readonly #changes: TagChanges | undefined;
  readonly #history: Pick<PullMetadata["tagHistory"], "of" | "ofEach" | "firstSeen">;
  /** Records that are not written yet. At most as many as there are writes behind. */
  readonly #unwritten = new Map<string, UnwrittenRecord>();

  constructor(
    {
      tags,
      tagHistory,
    }: Pick<PullMetadata, "tags"> & {
      readonly tagHistory: Pick<PullMetadata["tagHistory"], "of" | "ofEach" | "firstSeen">;
    },
    manifests: Pick<ManifestStore, "stored">,
    behind: WriteBehind,
    changes?: TagChanges,
  ) {
    this.#tags = tags;
    this.#history = tagHistory;
    this.#manifests = manifests;
    this.#behind = behind;
    this.#changes = changes;
  }

  async get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined> {
    return this.#unwritten.get(keyOf(repo, tag))?.record ?? this.#tags.get(repo, tag);
  }

  /** What the tag has pointed to, the latest first, with what is not written yet. */
  async history(repo: RepositoryRef, tag: Tag): Promise<TagStay[]> {
    return this.#withUnwritten(repo, tag, await this.#history.of(repo, tag));
  }

  /** The same of some tags, in one statement. */
  async histories(repo: RepositoryRef, tags: readonly Tag[]): Promise<Map<Tag, TagStay[]>> {
    const known = await this.#history.ofEach(repo, tags);
    return new Map(tags.map((tag) => [tag, this.#withUnwritten(repo, tag, known.get(tag) ?? [])]));
  }

  /** When what some tags have had was first seen, of each the earliest: see `TagHistory.firstSeen`. */
  async firstSeen(repo: RepositoryRef, tags: readonly Tag[]): Promise<Map<Tag, number>> {
    const found = new Map(await this.#history.firstSeen(repo, tags));
    for (const tag of this.#unwritten.size > 0 ? tags : []) {
      const record = this.#unwritten.get(keyOf(repo, tag))?.record;
      if (!record) continue;
      found.set(tag, Math.min(record.seenAt ?? record.checkedAt, found.get(tag) ?? Infinity));
    }
    return found;
  }

  #withUnwritten(repo: RepositoryRef, tag: Tag, stays: TagStay[]): TagStay[] {
    const record = this.#unwritten.get(keyOf(repo, tag))?.record;
    if (!record || stays[0]?.digest === record.digest) return stays;
    const { digest, checkedAt, seenAt = checkedAt } = record;
    return [{ digest, firstSeen: seenAt, lastSeen: checkedAt }, ...stays];
  }

  /** Resolves once the record of a tag is written, or cannot be. */
  async written(repo: RepositoryRef, tag: Tag): Promise<void> {
    await this.#unwritten.get(keyOf(repo, tag))?.ended;
  }

  async put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void> {
    const key = keyOf(repo, tag);
    if (this.#changes?.isWatched) void this.#compare(this.get(repo, tag), repo, tag, record.digest);
    const { promise, resolve } = Promise.withResolvers<void>();
    const unwritten: UnwrittenRecord = { record, ended: promise };
    this.#unwritten.set(key, unwritten);
    await this.#behind.run(async () => {
      try {
        await this.#manifests.stored(repo, record.digest);
        // It may have been replaced or removed meanwhile.
        if (this.#unwritten.get(key) === unwritten) await this.#tags.put(repo, tag, record);
      } finally {
        if (this.#unwritten.get(key) === unwritten) this.#unwritten.delete(key);
        resolve();
      }
    });
  }

  async #compare(
    before: Promise<TagRecord | undefined>,
    repo: RepositoryRef,
    tag: Tag,
    digest: Digest,
  ): Promise<void> {
    const previous = (await before)?.digest;
    if (previous === digest) return;
    this.#changes?.changed({ repo, tag, digest, ...(previous ? { previous } : {}) });
  }

  /** Records a tag of which nothing is known: whatever is, was learnt since, or says more. */
  async putIfUnknown(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void> {
    const known = await this.get(repo, tag);
    // It may have been learnt while the database was read.
    if (known || this.#unwritten.has(keyOf(repo, tag))) return;
    await this.put(repo, tag, record);
  }

  async remove(repo: RepositoryRef, tag: Tag): Promise<void> {
    this.#unwritten.delete(keyOf(repo, tag));
    await this.#behind.run(() => this.#tags.remove(repo, tag));
  }
}
