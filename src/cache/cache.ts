import { Accept } from "../oci/accept.ts";
import type { Digest } from "../oci/digest.ts";
import type { Tag } from "../oci/names.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import type { PullMetadata } from "./lookup/pull-metadata.ts";
import { BlobLookup } from "./lookup/blob-lookup.ts";
import { DurableMetadata } from "./lookup/durable-metadata.ts";
import { type FillObserver, Fills } from "./fill/fills.ts";
import { NO_NEAR_SOURCES } from "./fetch/near-sources.ts";
import { ListCache } from "./lookup/list-cache.ts";
import { GovernedTags } from "./lookup/governed-tags.ts";
import { HeadTrust } from "./lookup/head-trust.ts";
import { ManifestLookup } from "./lookup/manifest-lookup.ts";
import { ManifestStore } from "./lookup/manifest-store.ts";
import { NegativeCache } from "./lookup/negative-cache.ts";
import type { CacheOptions } from "./cache-options.ts";
import { Bypass } from "./bypass/bypass.ts";
import { Referrers } from "./lookup/referrers.ts";
import { ReplicaLookup } from "./sharing/replica-lookup.ts";
import { BackgroundBlobs } from "./background/background-blobs.ts";
import { TracedFills } from "./tracing/traced-fills.ts";
import { Siblings, type SiblingsOptions } from "./siblings/siblings.ts";
import { RepositoryAccess } from "./lookup/repository-access.ts";
import { WriteBehind } from "./write-behind.ts";
import { Patience } from "./lookup/patience.ts";
import { TagChecks } from "./lookup/tag-checks.ts";
import { AS_REGISTRIES_SAY } from "./tag-policy/tag-policy.ts";
import { HeldDigests } from "./held/held-digests.ts";
import { HeldParts } from "./held/held-parts.ts";
import { HeldTags } from "./held/held-tags.ts";
import { ImageTrees } from "./held/image-trees.ts";
import { ServedTags } from "./lookup/served-tags.ts";
import { EvidenceBlobs } from "./lookup/evidence-blobs.ts";
import { VerdictsFirst } from "./verdicts-first.ts";
import type { Upstream } from "./upstream.ts";
import { TagRecords } from "./lookup/tag-records.ts";
import { TagLists } from "./lookup/tag-lists.ts";
import { TagResolver } from "./lookup/tag-resolver.ts";

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
  readonly verdicts = new VerdictsFirst();
  readonly evidence: EvidenceBlobs;
  /** What is asked for by digest, and must not be had. */
  readonly heldDigests: HeldDigests;
  readonly heldParts: HeldParts;
  /** Tags that lists leave out. */
  readonly heldTags: HeldTags;
  readonly #manifests: ManifestStore;
  readonly #governed: GovernedTags;
  readonly #records: TagRecords;
  readonly #checks: TagChecks;
  readonly #behind = new WriteBehind();
  readonly #negativeCache = new NegativeCache();
  readonly #recordAccess: (digest: Digest) => void;

  constructor({
    store,
    metadata: storedMetadata,
    sidecars,
    restoring,
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
    imageNews,
    tagChanges,
    tagPolicy = AS_REGISTRIES_SAY,
    holdObserver,
    tracer,
    isDivided = () => false,
    now = Date.now,
  }: CacheOptions) {
    const metadata = new DurableMetadata(storedMetadata, {
      sidecars,
      restoring,
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
    this.evidence = new EvidenceBlobs({
      store,
      metadata,
      access,
      blobs: this.blobs,
      fills: this.fills,
      behind: this.#behind,
      verdicts: this.verdicts,
      now,
    });
    const manifests = new ManifestStore({
      store,
      metadata,
      access,
      fills: this.fills,
      behind: this.#behind,
      verdicts: this.verdicts,
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
    const records = new TagRecords(metadata, manifests, this.#behind, tagChanges);
    const served = new ServedTags(metadata.tagHistory, records, this.#behind, now);
    const history = metadata.tagHistory;
    const held = { policy: tagPolicy, history, records, now, observer: holdObserver };
    const governed = new GovernedTags({
      ...held,
      news: tagNews,
      onServed: (repo, digest) => this.heldDigests.served(repo, digest),
    });
    this.#governed = governed;
    this.#records = records;
    const trees = new ImageTrees({ load: (repo, digest) => manifests.get(repo, digest) });
    this.heldDigests = new HeldDigests({
      ...held,
      trees,
      news: imageNews,
      find: (upstream, repo, digest) =>
        this.manifests.head(upstream, repo, digest, new Accept(null)),
    });
    this.heldTags = new HeldTags(held);
    this.heldParts = new HeldParts({ ...held, trees });
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
      governed,
      served,
      now,
      onServed: (repo, manifest) => {
        this.siblings.served(repo, manifest);
        void this.heldDigests.given(repo, manifest);
      },
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

  /** With which digest a tag would be served, by what is known here; `undefined` if with none. Nobody is asked. */
  async servedDigest(repo: RepositoryRef, tag: Tag): Promise<Digest | undefined> {
    if (this.#governed.has(repo, tag)) return this.#governed.digest(repo, tag);
    return (await this.#records.get(repo, tag))?.digest;
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
