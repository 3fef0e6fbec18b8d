import { existsSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import type { Settings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { blobFolder } from "../../store/disk/blob-file.ts";
import { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import { DirectoryWatch, type Watched } from "../../store/directory/directory-watch.ts";
import { type DataDirectory, openDataDirectory } from "../../store/directory/data-directory.ts";
import { openDiskBlobStore, type WriteOptions } from "../../store/disk/disk-blob-store.ts";
import type { OverrideStore } from "../../store/override-store.ts";
import { KeptOverrides } from "../../store/sidecars/kept-overrides.ts";
import { SidecarFiles } from "../../store/sidecars/sidecar-files.ts";
import { isStored } from "../../store/repair/look-up.ts";
import { openSelfHealing } from "../../store/repair/open-self-healing.ts";
import type { SelfHealingMetadata } from "../../store/repair/self-healing-metadata.ts";
import { storageFault } from "../../store/storage-fault.ts";
import { writeError } from "../../store/directory/write-error.ts";
import { blockSizeOf, diskUsage, type DiskUsage } from "../../store/space/disk-usage.ts";
import { wasShutDownCleanly } from "../../store/sql/clean-shutdown.ts";
import { DiskBudget } from "../../store/space/disk-budget.ts";
import type { DiskFullState } from "../../store/space/disk-full-state.ts";
import type { FewInodes } from "../../store/space/inode-budget.ts";
import type { DiskLimits } from "../../store/space/fill-level.ts";
import { restoreVanished } from "../../store/repair/vanished-files.ts";
import type { RebuildMarker } from "../../store/repair/rebuild-marker.ts";
import { type FailedRead, UnreadableBlobs } from "../../store/memory/unreadable-blobs.ts";
import { LastAccess } from "../../store/memory/last-access.ts";
import { UpstreamQuotas } from "./upstream-quotas.ts";
import type { RemovalReason } from "../removal-reason.ts";
import { Evictor } from "./evictor.ts";
import { FormerImages } from "./former-images.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { PinnedBlobs } from "./pinned-blobs.ts";
import { reportingOnce } from "./reporting-once.ts";
import { SmallImages } from "./small-images.ts";
import { StoreAdmin } from "./store-admin.ts";

/** Events of the store, for logs and metrics. */
export interface StoreEvents {
  /** The disk became full, so that nothing can be stored, or has space again. */
  fullStateChanged(state: { readonly isFull: boolean; readonly reason: string }): void;
  /** Few inodes are free, at each measurement that finds it so. */
  fewInodes(found: FewInodes): void;
  removed(digest: Digest, reason: RemovalReason, bytes: number): void;
  /** A read of a stored blob failed. It counts as missing until it can be read, or is stored anew. */
  unreadable(digest: Digest, failed: FailedRead): void;
  /** Access times could not be written. */
  accessTimesNotWritten(error: unknown): void;
  /** The metadata database was damaged. It was moved to `path`, and an empty one was created. */
  metadataDamaged(path: string, reason: string): void;
  /** A read of a stored blob met a limit of this process or the machine. */
  limitMet(cause: unknown): void;
  /** Records of removed blobs could not be removed. */
  recordsLeft(error: unknown): void;
  /** Background work failed. It is retried. */
  failed(task: string, error: unknown): void;
}

/** An open data directory, locked for this process, and all parts that work on it. */
export interface Storage extends AsyncDisposable {
  readonly path: string;
  /** Enforces the disk budget, and marks blobs as recently opened: for requests. */
  readonly store: BoundedBlobStore;
  /** Without both: for inspection and repair. */
  readonly blobs: BlobStore;
  readonly metadata: SelfHealingMetadata;
  /** Instead of those of `metadata`: they are kept in a file as well. */
  readonly overrides: OverrideStore;
  readonly sidecars: SidecarFiles;
  readonly budget: DiskBudget;
  /** The disk when it was last measured, which is about once a second. */
  readonly disk: () => Pick<DiskUsage, "free" | "size">;
  readonly lastAccess: LastAccess;
  readonly evictor: Evictor;
  readonly quotas: UpstreamQuotas;
  readonly admin: StoreAdmin;
  readonly pinned: PinnedBlobs;
  readonly trees: ManifestTrees;
  readonly smallImages: SmallImages;
  readonly rebuildState: RebuildMarker;
  /** Whether the last process shut down cleanly, so that the metadata database lacks nothing. */
  readonly wasShutDownCleanly: boolean;
  /**
   * Makes files and folders again that somebody removed while they are in use, and returns which. While
   * that is not possible, nothing is stored. The same holds for a disk that failed to write, or is read-only.
   */
  restoreVanished(): Promise<readonly Watched[]>;
  /**
   * To be called before what an operator asked for is begun.
   *
   * @throws Fault of kind `storage` if nothing at all can be written or removed
   */
  mustBeWritable(): Promise<void>;
  /** Whether a blob of so many bytes can be stored without removing what was used lately. */
  readonly hasRoomFor: (upstream: UpstreamName, bytes: number) => boolean;
  /** Sets the check for blobs that must not be removed, since a fill or its followers use them. */
  setInUseCheck(inUse: (digest: Digest) => boolean): void;
  /** Applies changed quotas of upstreams. */
  configure(upstreams: Settings["upstreams"]): void;
}

const GIB = 2 ** 30;

/**
 * Opens a data directory.
 *
 * @throws DataDirectoryError or MetadataError, each with what to do about it
 */
export async function openStorage(
  { dataDirectory, storage, upstreams }: Pick<Settings, "dataDirectory" | "storage" | "upstreams">,
  events: StoreEvents,
  writing?: WriteOptions,
): Promise<Storage> {
  const closing = new AsyncDisposableStack();
  try {
    const directory = await openDataDirectory(dataDirectory);
    closing.defer(() => directory.close());
    // A new data directory counts as clean.
    const isClean =
      wasShutDownCleanly(directory.metadataPath) || !existsSync(directory.metadataPath);
    const watch = new DirectoryWatch(directory.path);
    closing.defer(() => watch.close());
    const { metadata, rebuildState, unwritten } = await openSelfHealing({
      path: directory.metadataPath,
      watch,
      mayWrite: () => directory.mayWrite,
      onDamaged: (path, reason) => events.metadataDamaged(path, reason),
      onUnreadable: (error) => events.failed("reading the metadata database", error),
    });
    closing.defer(() => metadata.close());
    const blobs = await openDiskBlobStore(directory.path, writing);
    const blockSize = await blockSizeOf(directory.path);
    const sidecars = new SidecarFiles(directory.path, blockSize);
    await sidecars.open();
    watch.note("", "lock", "blobs", "fills", "sidecars");
    const lastAccess = new LastAccess(metadata.blobs, {
      onError: (error) => events.accessTimesNotWritten(error),
    });
    closing.defer(() => lastAccess.close());
    let measured = await diskUsage(directory.path);
    const disk = async (): Promise<DiskUsage> => {
      measured = await diskUsage(directory.path);
      // A failing metadata store must not keep blobs from being stored. It is reported elsewhere.
      return { ...measured, metadata: sidecars.bytes + (await metadata.bytes().catch(() => 0)) };
    };
    const total = await metadata.blobs.total(blockSize);
    const budget = new DiskBudget({
      limits: boundOf(storage, measured, total.diskBytes),
      disk: reportingOnce(disk, (error) => events.failed("measuring the disk", error)),
      blockSize,
      onChange: (state) => events.fullStateChanged(state),
      onFewInodes: (found) => events.fewInodes(found),
    });
    if (unwritten !== undefined) budget.fullState.markFull(unwritten);
    if (directory.unwritten) budget.fullState.recordFailure(directory.unwritten);
    budget.recount(total.diskBytes);
    const unreadable = new UnreadableBlobs(
      (digest, failed) => events.unreadable(digest, failed),
      undefined,
      (cause) => events.limitMet(cause),
    );
    const { assertWritable } = directory;
    const store = new BoundedBlobStore(blobs, budget, unreadable, assertWritable);
    // Makes the partial downloads of earlier processes count towards the budget; if not now, then later.
    await Array.fromAsync(store.partials()).catch((error: unknown) =>
      events.failed("listing the partial downloads", error),
    );
    const trees = new ManifestTrees(blobs, metadata.blobs);
    const overrides = new KeptOverrides(metadata.overrides, sidecars, (fault) =>
      events.failed("keeping what was decided of tags", fault),
    );
    const former = new FormerImages({
      history: metadata.tagHistory,
      settings: storage.history,
      maxSize: () => budget.limits.maxSize,
    });
    const pinned = new PinnedBlobs(metadata, trees, {
      spaceOf: (size) => budget.spaceOf(size),
      goingLast: () => former.current(),
    });
    let currentUpstreams = upstreams;
    let isInUse: (digest: Digest) => boolean = () => false;
    const shared = {
      metadata,
      budget,
      pinned,
      flushAccessTimes: () => lastAccess.flush(),
      inUse: (digest: Digest) => isInUse(digest),
    };
    const mustBeWritable = (): Promise<void> => mustStillBeWritable(directory, budget.fullState);
    const evictor = new Evictor({
      ...shared,
      store,
      deleteRemains: async (digests) => {
        const isWanted = async (digest: Digest): Promise<boolean> =>
          isInUse(digest) || (await isStored(blobs, digest));
        for (const digest of digests) {
          await sidecars.removeUnless(isWanted, digest);
          // It stays if it holds other blobs, and is made again for the next one.
          await rmdir(blobFolder(directory.path, digest)).catch(() => {});
        }
      },
      onRemoved: (digest, reason, size) => events.removed(digest, reason, size),
      onFailed: (fault) => events.failed("evicting a blob", fault),
      onRecordsLeft: (error) => events.recordsLeft(error),
    });
    const quotas = new UpstreamQuotas({
      ...shared,
      store,
      evictor,
      upstreams: () => currentUpstreams,
      onFailed: (error) => events.failed("evicting", error),
    });
    const admin = new StoreAdmin({
      ...shared,
      blobs,
      sidecars,
      unreadable,
      evictor,
      quotas,
      trees,
      rebuildState,
      total,
      mustBeWritable,
    });
    return {
      path: directory.path,
      store,
      blobs,
      metadata,
      overrides,
      sidecars,
      budget,
      disk: () => measured,
      lastAccess,
      evictor,
      quotas,
      admin,
      pinned,
      trees,
      smallImages: new SmallImages(metadata, trees),
      rebuildState,
      wasShutDownCleanly: isClean,
      mustBeWritable,
      restoreVanished: async () => {
        let vanished: readonly Watched[] = [];
        try {
          vanished = await restoreVanished({ directory, watch, blobs, sidecars, metadata });
          await mustBeWritable();
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          if (!budget.fullState.recordFailure(error)) budget.fullState.markFull(reason);
        }
        return vanished;
      },
      hasRoomFor: (upstream, bytes) =>
        !budget.fullState.isFull &&
        budget.level.hasRoomFor(budget.spaceOf(bytes)) &&
        quotas.hasRoomFor(upstream, bytes),
      setInUseCheck: (inUse) => {
        isInUse = inUse;
      },
      configure: (changed) => {
        currentUpstreams = changed;
      },
      [Symbol.asyncDispose]: () => closing.disposeAsync(),
    };
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

/**
 * Looks whether a disk that failed to write can be written to again, instead of waiting for a write that fails.
 *
 * @throws Fault if it cannot
 */
async function mustStillBeWritable(
  directory: DataDirectory,
  { isFailing }: DiskFullState,
): Promise<void> {
  if (!(await directory.becomeWritable())) directory.assertWritable();
  const failed = isFailing ? await writeError(directory.path) : undefined;
  if (failed !== undefined) throw storageFault(`write to ${directory.path}`, failed);
}

/** @param blobBytes bytes that the store takes already */
function boundOf(storage: Settings["storage"], disk: DiskUsage, blobBytes: number): DiskLimits {
  return {
    maxSize: storage.maxSize ?? Math.floor(0.8 * (disk.free + blobBytes)),
    minFree: storage.minFree ?? Math.min(GIB, Math.floor(0.05 * disk.size)),
  };
}
