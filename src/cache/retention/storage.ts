import { existsSync, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { BoundedBlobs } from "../../store/disk/bounded-blob-store.ts";
import { openDataDirectory } from "../../store/disk/data-directory.ts";
import { openDiskBlobs } from "../../store/disk/disk-blob-store.ts";
import { FactFiles } from "../../store/disk/sidecar-files.ts";
import { HealingIndex } from "../../store/repair/self-healing-metadata.ts";
import type { Index } from "../../store/metadata-store.ts";
import { IndexError, openIndex } from "../../store/sql/open-metadata.ts";
import { diskFacts, type DiskFacts } from "../../store/disk/disk-usage.ts";
import { isSealed } from "../../store/sql/clean-shutdown.ts";
import { type Bound, Space } from "../../store/disk/disk-budget.ts";
import { Remaking } from "../../store/repair/rebuild-marker.ts";
import { Usage } from "../../store/memory/last-access.ts";
import { Bounds } from "./upstream-quotas.ts";
import { Evictor, type Why } from "./evictor.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { Pinned } from "./pinned-blobs.ts";
import { Steward } from "./store-admin.ts";

/** What happens to a store by itself, for whoever wants to tell of it. */
export interface StoreEvents {
  /** Nothing can be stored any more, or it can again. */
  full(state: { readonly isFull: boolean; readonly reason: string }): void;
  removed(digest: Digest, why: Why, bytes: number): void;
  /** Use times could not be written. */
  unwritten(error: unknown): void;
  /** The index was damaged; it was moved to `path` and begun anew. */
  damaged(path: string, reason: string): void;
  /** Work in the background that failed; it is tried again. */
  failed(what: string, error: unknown): void;
}

/** Everything in a data directory, opened for this process alone. */
export interface KeptStore extends AsyncDisposable {
  readonly path: string;
  /** With the bound, for traffic. */
  readonly store: BoundedBlobs;
  /** Without it, for looking at what is there. */
  readonly plain: BlobStore;
  readonly index: Index;
  readonly facts: FactFiles;
  readonly space: Space;
  readonly usage: Usage;
  readonly evictor: Evictor;
  readonly bounds: Bounds;
  readonly steward: Steward;
  readonly remade: Remaking;
  /** Whether the index was closed in good order, so that it has lost nothing. */
  readonly endedWell: boolean;
  /** Who brings content in, and may tell what of it must not be touched. */
  usedBy(inUse: (digest: Digest) => boolean): void;
  /** Takes up changed bounds of upstreams. */
  configure(upstreams: Settings["upstreams"]): void;
}

const GIB = 2 ** 30;

/**
 * Opens a data directory.
 *
 * @throws DataDirectoryError or IndexError, each with what to do about it
 */
export async function openKeptStore(
  { dataDirectory, storage, upstreams }: Pick<Settings, "dataDirectory" | "storage" | "upstreams">,
  events: StoreEvents,
): Promise<KeptStore> {
  const closing = new AsyncDisposableStack();
  try {
    const directory = await openDataDirectory(dataDirectory);
    closing.defer(() => directory.close());
    // One that is not there yet has lost nothing either.
    const endedWell = isSealed(directory.indexPath) || !existsSync(directory.indexPath);
    const { index, remade } = await openHealing(directory.indexPath, events);
    closing.defer(() => index.close());
    const plain = await openDiskBlobs(directory.path);
    const facts = new FactFiles(directory.path);
    await facts.open();
    const usage = new Usage(index.contents, { onError: (error) => events.unwritten(error) });
    closing.defer(() => usage.close());
    const disk = async (): Promise<DiskFacts> => ({
      ...(await diskFacts(directory.path)),
      // Content can be stored without an index that answers, and that it does not is told elsewhere.
      beside: facts.bytes + (await index.bytes().catch(() => 0)),
    });
    const { bytes } = await index.contents.total();
    const space = new Space({
      bound: boundOf(storage, await disk(), bytes),
      disk,
      onChange: (state) => events.full(state),
    });
    space.recount(bytes);
    const store = new BoundedBlobs(plain, space);
    // Beginnings that an earlier process left count from now on.
    await Array.fromAsync(store.kept());
    const trees = new ManifestTrees(plain, index.contents);
    const pinned = new Pinned(index, trees);
    let bounded = upstreams;
    let isUsed: (digest: Digest) => boolean = () => false;
    const shared = {
      index,
      space,
      pinned,
      flushUse: () => usage.flush(),
      inUse: (digest: Digest) => isUsed(digest),
    };
    const evictor = new Evictor({
      ...shared,
      store,
      removed: (digest, why, size) => events.removed(digest, why, size),
    });
    const bounds = new Bounds({
      ...shared,
      store,
      evictor,
      upstreams: () => bounded,
      failed: (error) => events.failed("evicting", error),
    });
    const steward = new Steward({ ...shared, store: plain, facts, evictor, bounds, trees, remade });
    return {
      path: directory.path,
      store,
      plain,
      index,
      facts,
      space,
      usage,
      evictor,
      bounds,
      steward,
      remade,
      endedWell,
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

function boundOf(storage: Settings["storage"], disk: DiskFacts, held: number): Bound {
  return {
    maxSize: storage.maxSize ?? Math.floor(0.8 * (disk.free + held)),
    minFree: storage.minFree ?? Math.min(GIB, Math.floor(0.05 * disk.size)),
  };
}

async function openHealing(
  path: string,
  events: StoreEvents,
): Promise<{ index: Index; remade: Remaking }> {
  const remade = new Remaking(path);
  const replace = async (reason: string): Promise<Index> => {
    remade.begin();
    const index = await openInPlaceOf(path);
    events.damaged(`${path}${DAMAGED}`, reason);
    return index;
  };
  const open = async (): Promise<Index> => {
    // Somebody has taken it away, or emptied it, and left what it can be made from.
    if (
      !statSync(path, { throwIfNoEntry: false })?.size &&
      existsSync(join(dirname(path), "facts"))
    )
      remade.begin();
    try {
      return await openIndex(path);
    } catch (error) {
      if (!(error instanceof IndexError) || error.kind !== "damaged") throw error;
      return replace(error.message);
    }
  };
  const index = new HealingIndex(await open(), async (damaged, reason) => {
    await damaged.close().catch(() => {});
    return replace(reason);
  });
  return { index, remade };
}

const DAMAGED = ".damaged";

/** A damaged index is moved away, where a person can look at it; content is not touched. */
async function openInPlaceOf(path: string): Promise<Index> {
  for (const suffix of ["", "-wal", "-shm"]) {
    await rm(`${path}${DAMAGED}${suffix}`, { force: true });
    await rename(`${path}${suffix}`, `${path}${DAMAGED}${suffix}`).catch(() => {});
  }
  return openIndex(path);
}
