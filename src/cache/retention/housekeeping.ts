import { setTimeout } from "node:timers/promises";
import type { Digest } from "../../oci/digest.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { isStored } from "../../store/repair/look-up.ts";
import { scrub } from "../../store/repair/scrub.ts";
import { pruneMetadata } from "../../store/repair/metadata-pruning.ts";
import {
  ifReadable,
  rebuildMetadata,
  restoreFromSidecars,
  restorePins,
} from "../../store/repair/rebuild-metadata.ts";
import { reconcile } from "../../store/repair/reconcile.ts";
import { clampTimes } from "./clamp-times.ts";
import type { HousekeepingEvents } from "./housekeeping-events.ts";
import { countAtStart } from "./start-count.ts";
import { spaceOfBlobs } from "./space-of-blobs.ts";
import type { Storage } from "./storage.ts";

/** Delay of the first reconciliation after a start, in milliseconds: requests go first. */
const START_DELAY_MS = 1000;
/** Part of the time that background work takes; the rest is left to requests. */
const BACKGROUND_SHARE = 0.15;
/** How often free space and limits are checked, in milliseconds. */
const CHECK_INTERVAL_MS = 1000;
/** How long after the last failed metadata write the metadata is reconciled, in milliseconds. */
const REPAIR_DELAY_MS = 5000;
/** How long after that files are tried again which could not be read, at first and at most, in milliseconds. */
const FIRST_RETRY_MS = 2000;
const MAX_RETRY_MS = 3_600_000;
/** How often the ages and quotas of upstreams are enforced, in milliseconds. */
const QUOTA_INTERVAL_MS = 30_000;
/** How often the sizes of upstreams are counted exactly for that, in milliseconds. */
const FULL_SCAN_INTERVAL_MS = 3_600_000;
/** How often the stored bytes are recounted, and metadata that takes too much is pruned, in milliseconds. */
const RECOUNT_INTERVAL_MS = 600_000;
/** How often unneeded metadata is pruned, in milliseconds. */
const PRUNE_INTERVAL_MS = 6 * 3_600_000;
/** How long the metadata of an image outlives its blobs, in milliseconds. */
const METADATA_RETENTION_MS = 30 * 24 * 3_600_000;
/** Pause between two scrubs, in milliseconds. */
const SCRUB_PAUSE_MS = 60_000;

/**
 * Background maintenance of the store while it serves requests: repairs the metadata, enforces
 * limits, prunes, and scrubs. Runs until it is disposed.
 */
export class Housekeeping implements AsyncDisposable {
  readonly #storage: Storage;
  readonly #events: HousekeepingEvents;
  readonly #inUse: (digest: Digest) => boolean;
  /** Whether a blob is being stored or removed. */
  readonly #isInUse = (digest: Digest): boolean =>
    this.#inUse(digest) || this.#storage.evictor.isBeingRemoved(digest);
  readonly #abort = new AbortController();
  /** When a metadata write last failed (monotonic clock, in milliseconds), until that is repaired. */
  #writeFailedAt: number | undefined;
  /** Set while the last repair met files that cannot be read: when the next one comes. */
  #retry: { readonly at: number; readonly delay: number } | undefined;
  /** Blobs without a record that were found before the first repair. */
  #foundAtStart = 0;
  readonly #loops: Promise<unknown>;

  /**
   * @param inUse whether a blob is being filled, or followers of its fill still read it
   * @param scrubRate bytes per second to verify, 0 for no scrub
   */
  constructor(
    storage: Storage,
    inUse: (digest: Digest) => boolean,
    scrubRate: number,
    events: HousekeepingEvents,
  ) {
    this.#storage = storage;
    this.#events = events;
    this.#inUse = inUse;
    this.#loops = Promise.all([
      this.#repairLoop(),
      this.#maintenanceLoop(),
      this.#scrubLoop(scrubRate),
    ]);
  }

  /** Schedules a repair: a stored blob may have no record, and would then never be evicted. */
  metadataWriteFailed(): void {
    this.#writeFailedAt = performance.now();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#loops;
  }

  /** Repairs the metadata after each start, each replaced database, and failed writes. */
  async #repairLoop(): Promise<void> {
    const { signal } = this.#abort;
    await this.#guarded("counting", async () => {
      this.#foundAtStart = await countAtStart(this.#storage, this.#isInUse, signal);
    });
    const { rebuildState } = this.#storage;
    const { fullState } = this.#storage.budget;
    // It would read every file in vain.
    if (fullState.isFailing) this.metadataWriteFailed();
    else if (rebuildState.started > 0 || (await this.#pause(START_DELAY_MS))) await this.#repair();
    while (await this.#pause(CHECK_INTERVAL_MS)) {
      if (fullState.isFailing) continue;
      if (rebuildState.finished < rebuildState.started || this.#isRepairDue()) await this.#repair();
    }
  }

  #isRepairDue(): boolean {
    const failedAt = this.#writeFailedAt ?? Infinity;
    const now = performance.now();
    return now - failedAt > REPAIR_DELAY_MS || now > (this.#retry?.at ?? Infinity);
  }

  async #repair(): Promise<void> {
    const { metadata, sidecars, blobs: store, budget, admin, rebuildState } = this.#storage;
    const { signal } = this.#abort;
    const writeFailedAt = this.#writeFailedAt;
    const hasFailedWrites = writeFailedAt !== undefined || this.#retry !== undefined;
    let unreadable = 0;
    const isDone = await this.#guarded("repairing the metadata", async () => {
      const { started } = rebuildState;
      const parts = { store, metadata, sidecars };
      if (rebuildState.finished < started) {
        // An empty database says that nothing is stored.
        if (budget.blobBytes === 0) budget.recount(await spaceOfBlobs(store, budget));
        const rebuilt = await rebuildMetadata(parts, signal);
        rebuildState.restored(started);
        // Pins take effect before the records of other blobs make them candidates for eviction.
        admin.metadataRebuilt();
        this.#events.rebuilt(rebuilt);
        ({ unreadable } = rebuilt);
      } else {
        const pins = await ifReadable(() => restorePins({ metadata, sidecars }));
        if (pins === undefined) unreadable += 1;
        if (pins !== 0) admin.metadataRebuilt();
      }
      // Tags and links first: clients ask for them first.
      if (!this.#storage.wasShutDownCleanly || hasFailedWrites) {
        const yielder = new EventLoopYielder(hasFailedWrites ? BACKGROUND_SHARE : 1);
        const restored = await restoreFromSidecars(parts, signal, yielder);
        if (restored.blobs > 0) this.#events.restored(restored);
        unreadable += restored.unreadable;
      }
      const onCorrupt = (digest: Digest): Promise<void> => this.#quarantine(digest);
      // Rebuilt metadata is completed at full speed: a blob without a record is never evicted.
      const yielder = new EventLoopYielder(rebuildState.finished < started ? 1 : BACKGROUND_SHARE);
      const inUse = this.#isInUse;
      const reconciled = await reconcile({ ...parts, inUse, onCorrupt, yielder, signal });
      if (signal.aborted) return;
      rebuildState.end(started);
      if (this.#writeFailedAt === writeFailedAt) this.#writeFailedAt = undefined;
      this.#scheduleRetry(unreadable > 0);
      await clampTimes(metadata, Date.now(), performance.now());
      await admin.recount();
      this.#events.reconciled({ ...reconciled, found: reconciled.found + this.#foundAtStart });
      this.#foundAtStart = 0;
      await this.#prune();
    });
    // Try again after REPAIR_DELAY_MS.
    if (!isDone) this.metadataWriteFailed();
  }

  #scheduleRetry(isNeeded: boolean): void {
    const delay = Math.min(MAX_RETRY_MS, 4 * (this.#retry?.delay ?? FIRST_RETRY_MS / 4));
    this.#retry = isNeeded ? { at: performance.now() + delay, delay } : undefined;
  }

  /** Removes unneeded metadata. Never during a rebuild, which needs the sidecar files. */
  async #prune(linkRetention?: number): Promise<void> {
    const { budget, metadata, rebuildState } = this.#storage;
    const before = Date.now() - METADATA_RETENTION_MS;
    const { started } = rebuildState;
    await pruneMetadata({
      metadata,
      yielder: new EventLoopYielder(BACKGROUND_SHARE),
      inUse: this.#isInUse,
      before,
      linkRetention,
      isComplete: () => rebuildState.started === started && rebuildState.finished === started,
      signal: this.#abort.signal,
    });
    await this.#pruneSidecars(before);
    await metadata.shrink();
    await budget.measure();
  }

  /** Those of blobs that are gone, except where a tag points to one and it was written since `before`. */
  async #pruneSidecars(before: number): Promise<void> {
    const { blobs: store, sidecars, rebuildState } = this.#storage;
    if (rebuildState.finished !== rebuildState.started) return;
    // In this order: a blob whose download has just ended is stored.
    const isWanted = async (digest: Digest): Promise<boolean> =>
      this.#inUse(digest) || (await isStored(store, digest));
    await sidecars.prune(isWanted, { before, signal: this.#abort.signal });
  }

  /** Enforces limits, and runs periodic recounts and pruning. */
  async #maintenanceLoop(): Promise<void> {
    const { metadata, budget, evictor, quotas, admin } = this.#storage;
    const startedAt = performance.now();
    let [quotasAt, fullScanAt, recountAt, pruneAt] = [0, startedAt, startedAt, startedAt];
    let sidecarsAt = -Infinity;
    while (await this.#pause(CHECK_INTERVAL_MS)) {
      const now = performance.now();
      await this.#guarded("evicting", async () => {
        await this.#restoreVanished();
        await budget.measure();
        if (budget.inodes.isTight && now - sidecarsAt > RECOUNT_INTERVAL_MS) {
          sidecarsAt = now;
          await this.#pruneSidecars(Date.now());
          await budget.measure();
        }
        if (budget.level.isTight) await evictor.sweep();
        if (now - quotasAt > QUOTA_INTERVAL_MS) {
          quotasAt = now;
          await quotas.enforce({ isFullScan: now - fullScanAt > FULL_SCAN_INTERVAL_MS });
          if (now - fullScanAt > FULL_SCAN_INTERVAL_MS) fullScanAt = now;
        }
        if (this.#storage.store.mustRecount) {
          this.#storage.store.mustRecount = false;
          await admin.recount();
        }
        if (now - recountAt > RECOUNT_INTERVAL_MS) {
          recountAt = now;
          // Links of evicted blobs would keep it as large as it is.
          if (budget.hasTooMuchMetadata) await this.#prune(RECOUNT_INTERVAL_MS);
          await clampTimes(metadata, Date.now(), performance.now());
          await admin.recount();
          await metadata.shrink();
        }
        if (now - pruneAt > PRUNE_INTERVAL_MS) {
          pruneAt = now;
          await this.#prune();
        }
      });
    }
  }

  async #restoreVanished(): Promise<void> {
    const vanished = await this.#storage.restoreVanished();
    if (vanished.length === 0) return;
    this.#events.vanished(vanished);
    // What the metadata says of them is compared with the files now.
    this.#writeFailedAt = performance.now() - REPAIR_DELAY_MS;
  }

  /** Verifies every blob again and again, at a limited rate. */
  async #scrubLoop(rate: number): Promise<void> {
    if (rate <= 0) return;
    const { blobs: store } = this.#storage;
    const { unreadable } = this.#storage.store;
    const { signal } = this.#abort;
    do {
      await this.#guarded("verifying", async () => {
        let reported = 0;
        const scrubbed = await scrub({
          store,
          rate,
          signal,
          onProgress: ({ bytes }) => {
            this.#events.scrubbed(bytes - reported);
            reported = bytes;
          },
          onCorrupt: async (digest) => {
            await this.#guarded("quarantining a blob", () => this.#quarantine(digest));
          },
          onUnreadable: (digest, { cause, at }) => void unreadable.readFailed(digest, cause, at),
        });
        if (!signal.aborted) this.#events.scrubEnded(scrubbed);
      });
    } while (await this.#pause(SCRUB_PAUSE_MS));
  }

  async #quarantine(digest: Digest): Promise<void> {
    await this.#storage.admin.quarantine(digest);
    this.#events.corrupt(digest);
  }

  /** Runs a task and reports its error. Returns whether it succeeded. */
  async #guarded(task: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#events.failed(task, error);
      return false;
    }
  }

  /** Returns false if it was disposed meanwhile. */
  #pause(milliseconds: number): Promise<boolean> {
    const { signal } = this.#abort;
    return setTimeout(milliseconds, true, { signal, ref: false }).catch(() => false);
  }
}
