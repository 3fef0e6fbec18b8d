import type { Digest } from "../oci/digest.ts";
import type { Fault } from "../oci/fault.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { FactFiles } from "../store/disk/sidecar-files.ts";
import type { Index } from "../store/metadata-store.ts";
import { Blobs } from "./lookup/blob-lookup.ts";
import { DurableFacts } from "./lookup/durable-metadata.ts";
import { type FillEvent, Fills } from "./fill/fills.ts";
import type { Growth } from "./quota-events.ts";
import { Listings } from "./lookup/list-cache.ts";
import { ManifestPulls } from "./lookup/manifest-lookup.ts";
import { Manifests } from "./lookup/manifest-store.ts";
import { Negatives } from "./lookup/negative-cache.ts";
import { Passing } from "./bypass/bypass.ts";
import { Referrers } from "./lookup/referrers.ts";
import { TagLists } from "./lookup/tag-lists.ts";
import { Tags } from "./lookup/tag-resolver.ts";

export interface CacheOptions {
  readonly store: BlobStore;
  readonly index: Index;
  /** Where facts are kept besides, so that a damaged index can be made again. */
  readonly facts?: FactFiles;
  readonly growth?: Growth;
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
  forgotten(fault: Fault): void;
}

/** Everything that pulling through consists of, put together. */
export class Cache {
  readonly index: Index;
  readonly fills: Fills;
  readonly blobs: Blobs;
  readonly manifests: ManifestPulls;
  readonly tagLists: TagLists;
  readonly referrers: Referrers;
  readonly #manifests: Manifests;
  readonly #negatives = new Negatives();
  readonly #used: (digest: Digest) => void;

  constructor({
    store,
    index: plain,
    facts,
    growth,
    observer,
    used = () => {},
    now = Date.now,
  }: CacheOptions) {
    const durable = new DurableFacts(plain, {
      files: facts,
      growth,
      forgotten: (fault) => observer.forgotten(fault),
    });
    this.#used = used;
    const { index } = durable;
    this.index = index;
    this.fills = new Fills(store, {
      stored: ({ digest, size }) => index.contents.put({ digest, size }, now()),
      ended: (event) => observer.filled(event),
    });
    const negatives = this.#negatives;
    const passing = new Passing();
    this.blobs = new Blobs({ store, index, fills: this.fills, used, negatives, passing });
    const manifests = new Manifests({
      store,
      index,
      fills: this.fills,
      now,
      used,
      learned: (place, manifest) => durable.learned(place, manifest),
      unstored: (digest, fault) => observer.unstored(digest, fault),
    });
    this.#manifests = manifests;
    const tags = new Tags(index, manifests, negatives, now);
    this.manifests = new ManifestPulls({ index, manifests, tags, negatives, passing, now });
    const listings = new Listings(index, now);
    this.tagLists = new TagLists(listings);
    this.referrers = new Referrers(index, listings, this.manifests);
  }

  /** Upstreams are configured in another way: what failed or was missing may be there now. */
  reconfigured(): void {
    this.#negatives.forget();
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
