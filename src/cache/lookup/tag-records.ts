import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
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

/**
 * Tags as pulls see them. A new record is seen at once, and written once its manifest is stored: a tag
 * must never point to what cannot be served.
 */
export class TagRecords {
  readonly #tags: PullMetadata["tags"];
  readonly #manifests: Pick<ManifestStore, "stored">;
  readonly #behind: WriteBehind;
  readonly #changes: TagChanges | undefined;
  /** Records that are not written yet. At most as many as there are writes behind. */
  readonly #unwritten = new Map<string, TagRecord>();

  constructor(
    tags: PullMetadata["tags"],
    manifests: Pick<ManifestStore, "stored">,
    behind: WriteBehind,
    changes?: TagChanges,
  ) {
    this.#tags = tags;
    this.#manifests = manifests;
    this.#behind = behind;
    this.#changes = changes;
  }

  async get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined> {
    return this.#unwritten.get(keyOf(repo, tag)) ?? this.#tags.get(repo, tag);
  }

  async put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void> {
    const key = keyOf(repo, tag);
    if (this.#changes?.isWatched) void this.#compare(this.get(repo, tag), repo, tag, record.digest);
    this.#unwritten.set(key, record);
    await this.#behind.run(async () => {
      try {
        await this.#manifests.stored(repo, record.digest);
        // It may have been replaced or removed meanwhile.
        if (this.#unwritten.get(key) === record) await this.#tags.put(repo, tag, record);
      } finally {
        if (this.#unwritten.get(key) === record) this.#unwritten.delete(key);
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
