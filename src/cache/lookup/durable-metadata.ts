import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { SidecarFiles } from "../../store/disk/sidecar-files.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import type { QuotaEvents } from "../quota-events.ts";
import type { PullMetadata } from "./pull-metadata.ts";

export interface DurableMetadataOptions {
  /** Absent where nothing is to survive a damaged metadata store. */
  readonly sidecars?: SidecarFiles | undefined;
  readonly quotaEvents?: QuotaEvents | undefined;
  /** Called with the fault of each write that failed. */
  readonly notWritten: (fault: Fault) => void;
}

/**
 * Metadata as a pull writes it. A write that fails does not fail the pull: what it says is discovered
 * again when it is needed. Manifests and tags are also written to sidecar files, from which a damaged
 * metadata store is rebuilt.
 */
export class DurableMetadata implements PullMetadata {
  readonly tags: PullMetadata["tags"];
  readonly links: PullMetadata["links"];
  readonly blobs: PullMetadata["blobs"];
  readonly listings: PullMetadata["listings"];
  readonly #sidecars: SidecarFiles | undefined;
  readonly #notWritten: (fault: Fault) => void;

  constructor(
    { tags, links, blobs, listings }: PullMetadata,
    { sidecars, quotaEvents, notWritten }: DurableMetadataOptions,
  ) {
    this.#sidecars = sidecars;
    this.#notWritten = notWritten;
    this.tags = {
      get: (repo, tag) => tags.get(repo, tag),
      put: async (repo, tag, record) => {
        const before = await tags.get(repo, tag);
        await this.#try(() => tags.put(repo, tag, record));
        await this.#try(() => this.#writeTag(repo, tag, record, before));
      },
      remove: async (repo, tag) => {
        const before = await tags.get(repo, tag);
        await this.#try(() => tags.remove(repo, tag));
        if (before) await this.#try(async () => sidecars?.removeTag(before.digest, repo, tag));
      },
    };
    this.links = {
      get: (repo, digest) => links.get(repo, digest),
      repositories: (upstream, limit, last) => links.repositories(upstream, limit, last),
      add: async (repo, added) => {
        await this.#try(() => links.add(repo, added));
        quotaEvents?.linked(
          repo.upstream,
          added.map(({ digest }) => digest),
        );
      },
    };
    this.blobs = {
      get: (digest) => blobs.get(digest),
      put: async (record, now) => {
        await this.#try(() => blobs.put(record, now));
        quotaEvents?.stored(record.digest, record.size);
      },
    };
    this.listings = {
      get: (repo, key) => listings.get(repo, key),
      put: (repo, key, listing) => this.#try(() => listings.put(repo, key, listing)),
    };
  }

  /** Writes the sidecar file of a manifest that was stored for a repository. */
  async manifestStored(
    repo: RepositoryRef,
    { digest, mediaType }: { readonly digest: Digest; readonly mediaType: string },
  ): Promise<void> {
    await this.#try(async () =>
      this.#sidecars?.record(digest, { mediaType, repo, at: Date.now() }),
    );
  }

  /** A tag stands in one sidecar file alone: that of the manifest which it points to. */
  async #writeTag(
    repo: RepositoryRef,
    tag: Tag,
    { digest, checkedAt: at }: TagRecord,
    before: TagRecord | undefined,
  ): Promise<void> {
    const sidecars = this.#sidecars;
    if (!sidecars || sidecars.has(digest, repo, tag)) return;
    const mediaType = (await this.blobs.get(digest))?.mediaType;
    if (mediaType !== undefined) await sidecars.record(digest, { mediaType, repo, tag, at });
    if (before && before.digest !== digest) await sidecars.removeTag(before.digest, repo, tag);
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#notWritten(error);
    }
  }
}
