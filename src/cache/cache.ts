import type { Digest } from "../oci/digest.ts";
import type { Fault } from "../oci/fault.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { SidecarFiles } from "../store/disk/sidecar-files.ts";
import type { PullMetadata } from "./lookup/pull-metadata.ts";
import { BlobLookup } from "./lookup/blob-lookup.ts";
import { DurableMetadata } from "./lookup/durable-metadata.ts";
import { type FillEvent, Fills } from "./fill/fills.ts";
import type { QuotaEvents } from "./quota-events.ts";
import { ListCache } from "./lookup/list-cache.ts";
import { ManifestLookup } from "./lookup/manifest-lookup.ts";
import { ManifestStore } from "./lookup/manifest-store.ts";
import { NegativeCache } from "./lookup/negative-cache.ts";
import { Bypass } from "./bypass/bypass.ts";
import { Referrers } from "./lookup/referrers.ts";
import { TagLists } from "./lookup/tag-lists.ts";
import { TagResolver } from "./lookup/tag-resolver.ts";

export interface CacheOptions {
  readonly store: BlobStore;
  readonly metadata: PullMetadata;
  /** Where facts are kept besides, so that a damaged index can be made again. */
  readonly sidecars?: SidecarFiles;
  readonly quotaEvents?: QuotaEvents;
  readonly observer: CacheObserver;
  /** Told of every content that was served from here. */
  readonly used?: (digest: Digest) => void;
  /** Milliseconds of the epoch. */
  readonly now?: () => number;
}

export interface CacheObserver {
  filled(event: FillEvent): void;
  /** Something was served that could not be stored. */
  unstored(digest: Digest, fault: Fault): void;
  /** A fact could not be written down; it is learnt again when it is needed. */
  metadataNotWritten(fault: Fault): void;
}

/** Everything that pulling through consists of, put together. */
export class Cache {
  readonly metadata: PullMetadata;
  readonly fills: Fills;
  readonly blobs: BlobLookup;
  readonly manifests: ManifestLookup;
  readonly tagLists: TagLists;
  readonly referrers: Referrers;
  readonly #manifests: ManifestStore;
  readonly #negativeCache = new NegativeCache();
  readonly #used: (digest: Digest) => void;

  constructor({
    store,
    metadata: plain,
    sidecars,
    quotaEvents,
    observer,
    used = () => {},
    now = Date.now,
  }: CacheOptions) {
    const metadata = new DurableMetadata(plain, {
      sidecars,
      quotaEvents,
      notWritten: (fault) => observer.metadataNotWritten(fault),
    });
    this.#used = used;
    this.metadata = metadata;
    this.fills = new Fills(store, {
      stored: ({ digest, size }) => metadata.blobs.put({ digest, size }, now()),
      ended: (event) => observer.filled(event),
    });
    const negativeCache = this.#negativeCache;
    const bypass = new Bypass();
    this.blobs = new BlobLookup({
      store,
      metadata,
      fills: this.fills,
      used,
      negativeCache,
      bypass,
    });
    const manifests = new ManifestStore({
      store,
      metadata,
      fills: this.fills,
      now,
      used,
      manifestStored: (repo, manifest) => metadata.manifestStored(repo, manifest),
      unstored: (digest, fault) => observer.unstored(digest, fault),
    });
    this.#manifests = manifests;
    const tags = new TagResolver(metadata, manifests, negativeCache, now);
    this.manifests = new ManifestLookup({ metadata, manifests, tags, negativeCache, bypass, now });
    const listings = new ListCache(metadata, now);
    this.tagLists = new TagLists(listings);
    this.referrers = new Referrers(metadata, listings, this.manifests);
  }

  /** Upstreams are configured in another way: what failed or was missing may be there now. */
  reconfigured(): void {
    this.#negativeCache.forget();
  }

  /** A content was served that is here. */
  used(digest: Digest): void {
    this.#used(digest);
  }

  /** A content is no longer stored. */
  forget(digest: Digest): void {
    this.#manifests.forget(digest);
  }
}
