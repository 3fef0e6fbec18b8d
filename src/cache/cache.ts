import type { Digest } from "../oci/digest.ts";
import type { Fault } from "../oci/fault.ts";
import type { Tag, UpstreamName } from "../oci/names.ts";
import type { MemoryPlan } from "../process/memory-plan.ts";
import type { BlobStore, StoredBlob } from "../store/blob-store.ts";
import type { DiskTimes } from "../store/disk-times.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import type { Tracer } from "../telemetry/tracing/tracer.ts";
import type { SidecarFiles } from "../store/sidecars/sidecar-files.ts";
import type { PullMetadata, StoredPullMetadata } from "./lookup/pull-metadata.ts";
import { BlobLookup } from "./lookup/blob-lookup.ts";
import { DurableMetadata } from "./lookup/durable-metadata.ts";
import { type FillEvent, type FillObserver, Fills } from "./fill/fills.ts";
import { type NearSources, NO_NEAR_SOURCES } from "./fetch/near-sources.ts";
import type { QuotaEvents } from "./quota-events.ts";
import { ListCache } from "./lookup/list-cache.ts";
import { HeadTrust } from "./lookup/head-trust.ts";
import { ManifestLookup } from "./lookup/manifest-lookup.ts";
import { ManifestStore } from "./lookup/manifest-store.ts";
import { NegativeCache } from "./lookup/negative-cache.ts";
import { Bypass } from "./bypass/bypass.ts";
import { Referrers } from "./lookup/referrers.ts";
import { ReplicaLookup } from "./sharing/replica-lookup.ts";
import { BackgroundBlobs } from "./background/background-blobs.ts";
import { TracedFills } from "./tracing/traced-fills.ts";
import { Siblings, type SiblingsOptions } from "./siblings/siblings.ts";
import type { OnSwitched } from "./siblings/usefulness.ts";
import { RepositoryAccess } from "./lookup/repository-access.ts";
import { WriteBehind } from "./write-behind.ts";
import { Patience } from "./lookup/patience.ts";
import { TagChecks } from "./lookup/tag-checks.ts";
import type { ManifestNews } from "./lookup/manifest-news.ts";
import type { TagNews } from "./lookup/tag-news.ts";
import type { Upstream } from "./upstream.ts";
import { type TagChanges, TagRecords } from "./lookup/tag-records.ts";
import { TagLists } from "./lookup/tag-lists.ts";
import { TagResolver } from "./lookup/tag-resolver.ts";

export interface CacheOptions {
  readonly store: BlobStore;
  readonly metadata: StoredPullMetadata;
  /** Absent if the metadata database need not survive damage: it is rebuilt from these files. */
  readonly sidecars?: SidecarFiles;
  readonly quotaEvents?: QuotaEvents;
  readonly observer: CacheObserver;
  /** Quarantines a blob that was read and found corrupt, with its record and its space. Never rejects. */
  readonly quarantine?: (digest: Digest) => Promise<unknown>;
  /** Called with the digest of every blob that was served from the store: feeds the LRU order. */
  readonly recordAccess?: (digest: Digest) => void;
  /** Whether the store has room for so many bytes of an upstream without evicting anything; by default, it has. */
  readonly hasRoomFor?: (upstream: UpstreamName, bytes: number) => boolean;
  /** What is asked for missing content before its upstream; by default, nothing is. */
  readonly near?: NearSources;
  /** Called with each blob and manifest that an upstream has sent, once it is stored and recorded. */
  readonly onFetched?: (blob: Pick<StoredBlob, "digest" | "size">) => void;
  /** Measures the writing of metadata. */
  readonly times?: DiskTimes;
  /** How much of manifests and lists stays in memory, and how many blobs are downloaded or stored at once. */
  readonly memory?: Pick<MemoryPlan, "manifests" | "lists" | "downloads">;
  /** What other replicas know of tags, and hear of manifests; absent if there are none. */
  readonly tagNews?: TagNews | undefined;
  readonly manifestNews?: ManifestNews | undefined;
  /** Who is told where tags point; absent: nobody. */
  readonly tagChanges?: TagChanges | undefined;
  /** Absent: downloads are not traced. */
  readonly tracer?: Tracer | undefined;
  /** Whether some may see a part of an upstream alone; by default, all see all of it. */
  readonly isDivided?: (upstream: UpstreamName) => boolean;
  /** The current time, in milliseconds since the epoch. */
  readonly now?: () => number;
}

export interface CacheObserver {
  fillEnded(event: FillEvent): void;
  /** A manifest was served, but could not be stored. */
  manifestNotStored(digest: Digest, fault: Fault): void;
  /** A metadata write failed. The upstream is asked again when the record is needed. */
  metadataNotWritten(fault: Fault): void;
  /** A metadata read failed. What it would have told counts as unknown. */
  metadataNotRead(fault: Fault): void;
  /** Downloading layers before clients ask for them switched itself off, since few were asked for, or on again. */
  readonly prefetchSwitched: OnSwitched;
}

/** The pull-through cache: assembles the lookups, the fills and what they share. */
export class Cache {
  readonly metadata: PullMetadata;
  readonly #access: RepositoryAccess;
  readonly fills: Fills;
  readonly siblings: Siblings;
  readonly blobs: BlobLookup;
  /** Downloads what no client waits for. */
  readonly background: BackgroundBlobs;
  /** Answers other replicas. */
  readonly forReplicas: ReplicaLookup;
  readonly manifests: ManifestLookup;
  readonly tagLists: TagLists;
  readonly referrers: Referrers;
  readonly #manifests: ManifestStore;
  readonly #checks: TagChecks;
  readonly #behind = new WriteBehind();
  readonly #negativeCache = new NegativeCache();
  readonly #recordAccess: (digest: Digest) => void;

  constructor({
    store,
    metadata: storedMetadata,
    sidecars,
    quotaEvents,
    observer,
    quarantine = (digest) => store.quarantine(digest),
    recordAccess = () => {},
    times,
    memory,
    hasRoomFor = () => true,
    near = NO_NEAR_SOURCES,
    tagNews,
    onFetched = () => {},
    manifestNews,
    tagChanges,
    tracer,
    isDivided = () => false,
    now = Date.now,
  }: CacheOptions) {
    const metadata = new DurableMetadata(storedMetadata, {
      sidecars,
      quotaEvents,
      times,
      behind: this.#behind,
      onNotWritten: (fault) => observer.metadataNotWritten(fault),
      onNotRead: (fault) => observer.metadataNotRead(fault),
    });
    this.#recordAccess = recordAccess;
    this.metadata = metadata;
    const fillObserver: FillObserver = {
      stored: async ({ digest, size }, isFromUpstream) => {
        await metadata.blobs.put({ digest, size }, now());
        if (isFromUpstream) onFetched({ digest, size });
      },
      ended: (event) => observer.fillEnded(event),
    };
    const fills = {
      downloads: memory?.downloads,
      near,
      onDemand: () => this.background.giveWay(),
    };
    this.fills = tracer
      ? new TracedFills(tracer, store, fillObserver, fills)
      : new Fills(store, fillObserver, fills);
    const negativeCache = this.#negativeCache;
    const access = new RepositoryAccess(metadata, negativeCache, now, isDivided);
    this.#access = access;
    const bypass = new Bypass();
    const onGiven: SiblingsOptions["onGiven"] = async ({ upstream, repo }, link, answeredAgo) => {
      const isShown = await access.answeredBefore(upstream, repo, answeredAgo);
      if (isShown) await metadata.links.add(repo, [{ ...link, confirmed: true }]);
    };
    this.siblings = new Siblings({
      fills: this.fills,
      load: (repo, digest) => this.#manifests.get(repo, digest),
      isMissing: async (digest) => (await store.open(digest)) === undefined,
      onGiven,
      hasRoomFor,
      onSwitched: (...event) => observer.prefetchSwitched(...event),
      wallClock: now,
    });
    this.blobs = new BlobLookup({
      store,
      metadata,
      access,
      fills: this.fills,
      recordAccess,
      negativeCache,
      bypass,
      siblings: this.siblings,
    });
    this.background = new BackgroundBlobs({
      store,
      fills: this.fills,
      onGiven,
      // A blob that is stored is asked for with a single byte, and only where nobody knows whose it is.
      confirm: async ({ upstream, repo }, digest) => {
        recordAccess(digest);
        await this.blobs.head(upstream, repo, digest);
      },
    });
    const manifests = new ManifestStore({
      store,
      metadata,
      access,
      fills: this.fills,
      behind: this.#behind,
      now,
      near,
      onFetched,
      news: manifestNews,
      memory: memory?.manifests,
      recordAccess,
      quarantine,
      onStored: (repo, manifest) => metadata.manifestStored(repo, manifest),
      onNotStored: (digest, fault) => observer.manifestNotStored(digest, fault),
    });
    this.#manifests = manifests;
    this.forReplicas = new ReplicaLookup({
      store,
      metadata,
      access,
      fills: this.fills,
      manifests,
      negativeCache,
      recordAccess,
    });
    const trust = new HeadTrust();
    const records = new TagRecords(metadata.tags, manifests, this.#behind, tagChanges);
    const patience = new Patience();
    const checks = new TagChecks({ records, manifests, access, patience, news: tagNews, now });
    this.#checks = checks;
    const shared = { records, manifests, negativeCache, trust, access };
    const tags = new TagResolver({ ...shared, checks, patience, now });
    this.manifests = new ManifestLookup({
      ...shared,
      checks,
      tags,
      bypass,
      onServed: (repo, manifest) => this.siblings.served(repo, manifest),
    });
    const lists = new ListCache(metadata, access, now, memory?.lists);
    this.tagLists = new TagLists(lists);
    this.referrers = new Referrers(metadata, lists, this.manifests);
  }

  /** Resolves once nothing has to be written any more that clients did not wait for. */
  written(): Promise<void> {
    return this.#behind.idle();
  }

  /** How many manifests and blobs clients have got that are still being stored, so that no metadata knows them. */
  get storing(): number {
    return this.#manifests.storing + this.fills.storing;
  }

  /** Resolves once what clients have got by now is stored, or could not be. */
  async settled(): Promise<void> {
    await Promise.all([this.fills.settled(), this.#behind.settled()]);
    // The links of a manifest, and its tag, are written behind it.
    await this.#behind.settled();
  }

  /** The settings of upstreams changed: what failed or was missing before may be available now. */
  reconfigured(): void {
    this.#negativeCache.clear();
  }

  /** Another replica found that a tag moved, or was removed: without a digest. */
  async tagMoved(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    found: { readonly digest: Digest | undefined; readonly ageMs: number },
  ): Promise<void> {
    await this.#checks.moved(upstream, repo, tag, found);
  }

  /** A registry has just shown something of a repository to whoever asked. */
  async shown(repo: RepositoryRef): Promise<void> {
    await this.#access.answered(repo);
  }

  /** A stored blob was served by something other than the lookups, such as a cached response. */
  recordAccess(digest: Digest): void {
    this.#recordAccess(digest);
  }

  /** Whether a download or its followers use a blob, or one is planned: then it must not be removed. */
  isInUse(digest: Digest): boolean {
    return this.fills.inUse(digest) || this.siblings.isPlanned(digest);
  }

  /** A blob is no longer stored, so it must not be served from memory either. */
  forget(digest: Digest): void {
    this.#manifests.forget(digest);
  }

  /** Files of the store vanished: what is in memory may be there only. */
  forgetAll(): void {
    this.#manifests.forgetAll();
  }
}
