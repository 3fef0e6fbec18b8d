import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { UnreadableBlobs } from "../../store/memory/unreadable-blobs.ts";
import type { SidecarFiles } from "../../store/sidecars/sidecar-files.ts";
import type { BlobTotal, MetadataStore } from "../../store/metadata-store.ts";
import { scrub, type ScrubProgress } from "../../store/repair/scrub.ts";
import { reconcile, type Reconciled } from "../../store/repair/reconcile.ts";
import type { RebuildState } from "../../store/repair/rebuild-marker.ts";
import type { DiskBudget } from "../../store/space/disk-budget.ts";
import type { UpstreamQuotas } from "./upstream-quotas.ts";
import type { RemovalReason } from "../removal-reason.ts";
import type { Evicted, Evictor } from "./evictor.ts";
import { type CachedImage, Images } from "./images.ts";
import type { ManifestTrees } from "./manifest-trees.ts";
import type { PinnedBlobs } from "./pinned-blobs.ts";
import { Pinning } from "./pinning.ts";
import { Purge, type PurgeSelection } from "./purge-images.ts";
import { requestedPattern } from "./requested-pattern.ts";
import type { StorageFigures } from "./storage-figures.ts";

export interface StoreAdminOptions {
  /** Without the disk budget: inspection and repair are no requests, and must not keep blobs from being evicted. */
  readonly blobs: BlobStore;
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins" | "bytes">;
  readonly sidecars: SidecarFiles;
  readonly budget: DiskBudget;
  readonly unreadable: UnreadableBlobs;
  readonly evictor: Evictor;
  readonly quotas: UpstreamQuotas;
  readonly trees: ManifestTrees;
  readonly pinned: PinnedBlobs;
  readonly rebuildState: RebuildState;
  readonly inUse: (digest: Digest) => boolean;
  /** What was stored when the store was opened. */
  readonly total: BlobTotal;
  /** Rejects with a Fault if nothing at all can be written or removed. */
  readonly mustBeWritable: () => Promise<void>;
  /** Writes buffered access times to the metadata store. */
  readonly flushAccessTimes: () => Promise<void>;
}

/** How often the bytes are counted at most, until no blob was stored or removed meanwhile. */
const MAX_COUNTS = 5;

export interface PreparePurgeOptions extends Omit<PurgeSelection, "pattern"> {
  /** Whether nothing will be removed. */
  readonly dryRun?: boolean;
}

export interface Verified extends ScrubProgress, Reconciled {
  readonly repaired: boolean;
}

/** The operations of an operator on a store, whether a server runs on it or not. */
export class StoreAdmin {
  readonly #options: StoreAdminOptions;
  readonly pinning: Pinning;
  readonly images: Images;
  readonly trees: ManifestTrees;
  #total: BlobTotal;
  #pinnedBytes = 0;
  #databaseBytes = 0;

  constructor(options: StoreAdminOptions) {
    this.#options = options;
    this.#total = options.total;
    this.trees = options.trees;
    this.images = new Images(options.metadata, options.trees);
    this.pinning = new Pinning(options);
  }

  /** While the metadata database cannot be read, the last figures that are known. */
  async figures(): Promise<StorageFigures> {
    const { metadata, sidecars, budget, pinned } = this.#options;
    try {
      this.#total = await metadata.blobs.total(budget.blockSize);
      this.#pinnedBytes = (await pinned.current()).bytes;
      this.#databaseBytes = await metadata.bytes();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
    const { count, bytes, diskBytes } = this.#total;
    const databaseBytes = this.#databaseBytes;
    const { partialBytes } = budget;
    const sidecarBytes = sidecars.bytes;
    return {
      blobs: count,
      blobBytes: bytes,
      blobDiskBytes: diskBytes,
      partialBytes,
      databaseBytes,
      sidecarBytes,
      usedBytes: diskBytes + partialBytes + databaseBytes + sidecarBytes,
      maxSize: budget.limits.maxSize,
      minFree: budget.limits.minFree,
      pinnedBytes: this.#pinnedBytes,
      isFull: budget.fullState.isFull,
    };
  }

  /**
   * The cached images, or those that match a pattern, one by one.
   *
   * @throws RefusedError if the pattern is not valid
   */
  async list(pattern?: string, signal?: AbortSignal): Promise<AsyncIterableIterator<CachedImage>> {
    const parsed = pattern === undefined ? undefined : requestedPattern(pattern);
    await this.#options.flushAccessTimes().catch(() => {});
    return this.images.list(parsed, signal);
  }

  /** Enforces all limits now: `maxSize`, `minFree`, quotas and ages. */
  async collect(dryRun: boolean): Promise<Evicted> {
    if (!dryRun) await this.#options.mustBeWritable();
    await this.#options.budget.measure();
    return this.#options.quotas.enforce({ dryRun });
  }

  /**
   * Prepares to remove the images that a pattern matches, and the blobs that only they use.
   *
   * @throws RefusedError if the pattern is not valid, matches nothing, or matches a pinned image
   * @throws Fault if nothing can be removed
   */
  async purge(text: string, options: PreparePurgeOptions = {}): Promise<Purge> {
    const { dryRun = false, ...selection } = options;
    if (!dryRun) await this.#options.mustBeWritable();
    const pattern = requestedPattern(text);
    return Purge.prepare({ ...this.#options, images: this.images }, { pattern, ...selection });
  }

  /**
   * Verifies every stored byte, and whether the metadata matches the files.
   *
   * @param options.repair quarantines corrupt blobs, and corrects the metadata: always, or where that is possible
   * @throws Fault if it always has to repair, and nothing can be written
   */
  async verify(options: {
    readonly repair: boolean | "if-possible";
    /** Bytes per second. */
    readonly rate?: number;
    readonly onProgress?: (progress: ScrubProgress) => void;
    readonly signal?: AbortSignal;
  }): Promise<Verified> {
    const { blobs, metadata, sidecars, unreadable, evictor, inUse, mustBeWritable } = this.#options;
    const { rate, onProgress, signal } = options;
    if (options.repair === true) await mustBeWritable();
    const repair = options.repair !== false && (await resolves(mustBeWritable()));
    const progress = await scrub({
      store: blobs,
      ...(rate === undefined ? {} : { rate }),
      ...(onProgress ? { onProgress } : {}),
      ...(signal ? { signal } : {}),
      onUnreadable: (digest, { cause, at }) => void unreadable.readFailed(digest, cause, at),
      onCorrupt: async (digest) => {
        if (repair) await this.quarantine(digest);
        else unreadable.foundCorrupt(digest);
      },
    });
    const reconciled = await reconcile({
      store: blobs,
      metadata,
      sidecars,
      inUse: (digest) => inUse(digest) || evictor.isBeingRemoved(digest),
      dryRun: !repair,
      ...(signal ? { signal } : {}),
    });
    if (repair) await this.recount();
    return { ...progress, ...reconciled, repaired: repair };
  }

  /** Moves a blob to the quarantine. It is filled again on its next request. */
  async quarantine(
    digest: Digest,
    reason: Extract<RemovalReason, "corrupt" | "unreadable"> = "corrupt",
  ): Promise<void> {
    const { blobs, evictor, metadata, budget, unreadable } = this.#options;
    // A database that cannot be read must not keep the file where it is served from.
    const record = await metadata.blobs.get(digest).catch(() => undefined);
    const size = record?.size ?? (await blobs.open(digest).catch(() => undefined))?.size ?? 0;
    const wasMoved = await blobs.quarantine(digest).catch((error: unknown) => {
      if (reason === "corrupt") unreadable.foundCorrupt(digest);
      throw error;
    });
    if (wasMoved) budget.changeBlobBytes(-budget.spaceOf(size));
    await evictor.remove(digest, size, reason);
    await this.recount();
  }

  /** To be called after the metadata was rebuilt: the pins may have changed. */
  metadataRebuilt(): void {
    this.#options.pinned.invalidate();
  }

  /** Corrects the budget's count of stored bytes by that of the metadata store. */
  async recount(): Promise<void> {
    const { metadata, budget, rebuildState, evictor } = this.#options;
    for (let turn = 0; turn < MAX_COUNTS; turn += 1) {
      const [churnBefore, beingRemoved] = [budget.churn, evictor.bytesBeingRemoved];
      // Once a first query is answered, every blob that was stored before is in the metadata store.
      await metadata.blobs.total(budget.blockSize);
      const { diskBytes } = await metadata.blobs.total(budget.blockSize);
      // During a rebuild, the metadata knows fewer blobs than the budget has added up.
      if (rebuildState.finished < rebuildState.started) return;
      const uncertainty = budget.churn - churnBefore + beingRemoved;
      budget.recount(diskBytes, uncertainty);
      if (uncertainty === 0) return;
    }
  }
}

async function resolves(work: Promise<void>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
