import { existsSync, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import { openDataDirectory } from "../../store/disk/data-directory.ts";
import { openDiskBlobStore } from "../../store/disk/disk-blob-store.ts";
import { SidecarFiles } from "../../store/disk/sidecar-files.ts";
import { SelfHealingMetadata } from "../../store/repair/self-healing-metadata.ts";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { MetadataError, openMetadata } from "../../store/sql/open-metadata.ts";
import { diskUsage, type DiskUsage } from "../../store/disk/disk-usage.ts";
import { wasShutDownCleanly } from "../../store/sql/clean-shutdown.ts";
import { type DiskLimits, DiskBudget } from "../../store/disk/disk-budget.ts";
import { RebuildMarker } from "../../store/repair/rebuild-marker.ts";
import { LastAccess } from "../../store/memory/last-access.ts";
import { UpstreamQuotas } from "./upstream-quotas.ts";
import { Evictor, type RemovalReason } from "./evictor.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { PinnedBlobs } from "./pinned-blobs.ts";
import { StoreAdmin } from "./store-admin.ts";

/** What happens to a store by itself, for whoever wants to tell of it. */
export interface StoreEvents {
  /** Nothing can be stored any more, or it can again. */
  full(state: { readonly isFull: boolean; readonly reason: string }): void;
  removed(digest: Digest, why: RemovalReason, bytes: number): void;
  /** Use times could not be written. */
  unwritten(error: unknown): void;
  /** The index was damaged; it was moved to `path` and begun anew. */
  damaged(path: string, reason: string): void;
  /** Work in the background that failed; it is tried again. */
  failed(what: string, error: unknown): void;
}

/** Everything in a data directory, opened for this process alone. */
export interface Storage extends AsyncDisposable {
  readonly path: string;
  /** With the bound, for traffic. */
  readonly store: BoundedBlobStore;
  /** Without it, for looking at what is there. */
  readonly blobs: BlobStore;
  readonly metadata: MetadataStore;
  readonly sidecars: SidecarFiles;
  readonly budget: DiskBudget;
  readonly lastAccess: LastAccess;
  readonly evictor: Evictor;
  readonly quotas: UpstreamQuotas;
  readonly admin: StoreAdmin;
  readonly rebuildState: RebuildMarker;
  /** Whether the index was closed in good order, so that it has lost nothing. */
  readonly wasShutDownCleanly: boolean;
  /** Who brings content in, and may tell what of it must not be touched. */
  usedBy(inUse: (digest: Digest) => boolean): void;
  /** Takes up changed bounds of upstreams. */
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
): Promise<Storage> {
  const closing = new AsyncDisposableStack();
  try {
    const directory = await openDataDirectory(dataDirectory);
    closing.defer(() => directory.close());
    // One that is not there yet has lost nothing either.
    const endedWell =
      wasShutDownCleanly(directory.metadataPath) || !existsSync(directory.metadataPath);
    const { metadata, rebuild } = await openHealing(directory.metadataPath, events);
    closing.defer(() => metadata.close());
    const plain = await openDiskBlobStore(directory.path);
    const sidecars = new SidecarFiles(directory.path);
    await sidecars.open();
    const lastAccess = new LastAccess(metadata.blobs, {
      onError: (error) => events.unwritten(error),
    });
    closing.defer(() => lastAccess.close());
    const disk = async (): Promise<DiskUsage> => ({
      ...(await diskUsage(directory.path)),
      // Content can be stored without an index that answers, and that it does not is told elsewhere.
      metadata: sidecars.bytes + (await metadata.bytes().catch(() => 0)),
    });
    const { bytes } = await metadata.blobs.total();
    const budget = new DiskBudget({
      limits: boundOf(storage, await disk(), bytes),
      disk,
      onChange: (state) => events.full(state),
    });
    budget.recount(bytes);
    const store = new BoundedBlobStore(plain, budget);
    // Beginnings that an earlier process left count from now on.
    await Array.fromAsync(store.partials());
    const trees = new ManifestTrees(plain, metadata.blobs);
    const pinned = new PinnedBlobs(metadata, trees);
    let bounded = upstreams;
    let isUsed: (digest: Digest) => boolean = () => false;
    const shared = {
      metadata,
      budget,
      pinned,
      flushUse: () => lastAccess.flush(),
      inUse: (digest: Digest) => isUsed(digest),
    };
    const evictor = new Evictor({
      ...shared,
      store,
      removed: (digest, why, size) => events.removed(digest, why, size),
    });
    const quotas = new UpstreamQuotas({
      ...shared,
      store,
      evictor,
      upstreams: () => bounded,
      failed: (error) => events.failed("evicting", error),
    });
    const admin = new StoreAdmin({
      ...shared,
      store: plain,
      sidecars,
      evictor,
      quotas,
      trees,
      rebuildState: rebuild,
    });
    return {
      path: directory.path,
      store,
      blobs: plain,
      metadata,
      sidecars,
      budget,
      lastAccess,
      evictor,
      quotas,
      admin,
      rebuildState: rebuild,
      wasShutDownCleanly: endedWell,
      usedBy: (inUse) => {
        isUsed = inUse;
      },
      configure: (changed) => {
        bounded = changed;
      },
      [Symbol.asyncDispose]: () => closing.disposeAsync(),
    };
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

function boundOf(storage: Settings["storage"], disk: DiskUsage, held: number): DiskLimits {
  return {
    maxSize: storage.maxSize ?? Math.floor(0.8 * (disk.free + held)),
    minFree: storage.minFree ?? Math.min(GIB, Math.floor(0.05 * disk.size)),
  };
}

async function openHealing(
  path: string,
  events: StoreEvents,
): Promise<{ metadata: MetadataStore; rebuild: RebuildMarker }> {
  const rebuild = new RebuildMarker(path);
  const replace = async (reason: string): Promise<MetadataStore> => {
    rebuild.begin();
    const metadata = await openInPlaceOf(path);
    events.damaged(`${path}${DAMAGED}`, reason);
    return metadata;
  };
  const open = async (): Promise<MetadataStore> => {
    // Somebody has taken it away, or emptied it, and left what it can be made from.
    if (
      !statSync(path, { throwIfNoEntry: false })?.size &&
      existsSync(join(dirname(path), "sidecars"))
    )
      rebuild.begin();
    try {
      return await openMetadata(path);
    } catch (error) {
      if (!(error instanceof MetadataError) || error.kind !== "damaged") throw error;
      return replace(error.message);
    }
  };
  const index = new SelfHealingMetadata(await open(), async (damaged, reason) => {
    await damaged.close().catch(() => {});
    return replace(reason);
  });
  return { metadata: index, rebuild };
}

const DAMAGED = ".damaged";

/** A damaged index is moved away, where a person can look at it; content is not touched. */
async function openInPlaceOf(path: string): Promise<MetadataStore> {
  for (const suffix of ["", "-wal", "-shm"]) {
    await rm(`${path}${DAMAGED}${suffix}`, { force: true });
    await rename(`${path}${suffix}`, `${path}${DAMAGED}${suffix}`).catch(() => {});
  }
  return openMetadata(path);
}
