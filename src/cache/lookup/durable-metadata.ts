import { Fault } from "../../oci/fault.ts";
import type { Digest } from "../../oci/digest.ts";
import type { SidecarFiles } from "../../store/disk/sidecar-files.ts";
import type { Tag } from "../../oci/names.ts";
import type { MetadataStore, RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import type { QuotaEvents } from "../quota-events.ts";

export interface DurableMetadataOptions {
  readonly sidecars?: SidecarFiles | undefined;
  readonly growth?: QuotaEvents | undefined;
  /** Told of what could not be written. */
  readonly notWritten: (fault: Fault) => void;
}

/**
 * The index as the pull path writes it: what cannot be written must not fail a pull, since it is
 * learnt again when it is needed, and manifests and tags are written beside the content as well.
 */
export class DurableMetadata {
  readonly metadata: MetadataStore;
  readonly #sidecars: SidecarFiles | undefined;
  readonly #forgotten: (fault: Fault) => void;

  constructor(
    metadata: MetadataStore,
    { sidecars, growth, notWritten: forgotten }: DurableMetadataOptions,
  ) {
    this.#sidecars = sidecars;
    this.#forgotten = forgotten;
    const { tags, links, blobs: contents, listings } = metadata;
    this.metadata = {
      pins: metadata.pins,
      get revision() {
        return metadata.revision;
      },
      bytes: () => metadata.bytes(),
      shrink: () => metadata.shrink(),
      close: () => metadata.close(),
      tags: {
        get: (repo, tag) => tags.get(repo, tag),
        list: (repo) => tags.list(repo),
        all: (limit, last) => tags.all(limit, last),
        remove: async (repo, tag) => {
          const before = await tags.get(repo, tag);
          await this.#try(() => tags.remove(repo, tag));
          if (before) await this.#try(async () => sidecars?.removeTag(before.digest, repo, tag));
        },
        put: async (repo, tag, fact) => {
          const before = await tags.get(repo, tag);
          await this.#try(() => tags.put(repo, tag, fact));
          await this.#try(() => this.#writeTag(repo, tag, fact, before));
        },
      },
      links: {
        get: (repo, digest) => links.get(repo, digest),
        repositoriesOf: (digest, limit) => links.repositoriesOf(digest, limit),
        upstreams: (digest) => links.upstreams(digest),
        digests: (limit, last) => links.digests(limit, last),
        removeUnstored: (digests) => links.removeUnstored(digests),
        repositories: (upstream, limit, last) => links.repositories(upstream, limit, last),
        visibleIn: (upstream, digests) => links.visibleIn(upstream, digests),
        add: async (repo, added) => {
          await this.#try(() => links.add(repo, added));
          growth?.linked(
            repo.upstream,
            added.map(({ digest }) => digest),
          );
        },
        remove: (repo, digest) => this.#try(() => links.remove(repo, digest)),
        removeAll: (digest, upstream) => this.#try(() => links.removeAll(digest, upstream)),
      },
      blobs: {
        get: (digest) => contents.get(digest),
        leastRecentlyUsed: (limit, last) => contents.leastRecentlyUsed(limit, last),
        storedBefore: (moment, limit, last) => contents.storedBefore(moment, limit, last),
        page: (limit, last) => contents.page(limit, last),
        find: (digests) => contents.find(digests),
        total: () => contents.total(),
        put: async (content, now) => {
          await this.#try(() => contents.put(content, now));
          growth?.stored(content.digest, content.size);
        },
        remove: (digests, until) => this.#try(() => contents.remove(digests, until)),
        touch: (times) => contents.touch(times),
        clampTimes: (now) => contents.clampTimes(now),
      },
      listings: {
        get: (repo, key) => listings.get(repo, key),
        put: (repo, key, listing) => this.#try(() => listings.put(repo, key, listing)),
        removeBefore: (moment, limit) => listings.removeBefore(moment, limit),
      },
    };
  }

  /** A manifest was stored, and seen at a place. */
  async manifestStored(
    repo: RepositoryRef,
    { digest, mediaType }: { readonly digest: Digest; readonly mediaType: string },
  ): Promise<void> {
    await this.#try(async () =>
      this.#sidecars?.record(digest, { mediaType, repo, at: Date.now() }),
    );
  }

  /** A tag stands beside one manifest: the one that it leads to. */
  async #writeTag(
    repo: RepositoryRef,
    tag: Tag,
    { digest, checkedAt: at }: TagRecord,
    before: TagRecord | undefined,
  ): Promise<void> {
    const sidecars = this.#sidecars;
    if (!sidecars || sidecars.has(digest, repo, tag)) return;
    const mediaType = (await this.metadata.blobs.get(digest))?.mediaType;
    if (mediaType !== undefined) await sidecars.record(digest, { mediaType, repo, tag, at });
    if (before && before.digest !== digest) await sidecars.removeTag(before.digest, repo, tag);
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#forgotten(error);
    }
  }
}
