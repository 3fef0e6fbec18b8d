import type { SharedStore } from "../shared-store/shared-store.ts";
import { deleteObjects, isDenial } from "./deletion.ts";
import {
  DELETION_MS,
  type Leadership,
  MAX_OBJECTS,
  type ObjectCount,
  type ObjectEviction,
  type ObjectLists,
} from "../objects/object-ledger.ts";
import type { SharedRetentionEvents } from "./retention-events.ts";

/**
 * Watermarks, as parts of `maxSize`: marking begins above the high one and stops at the low one. What is put
 * while marked objects wait for their deletion has room above them.
 */
const HIGH_WATER = 0.95;
const LOW_WATER = 0.9;
/** Where less than this is taken, there is room for whatever the store lacks. */
const ROOMY = 0.8;
/** How long deleting one batch may take. */
const DELETE_MS = 20_000;

export interface SharedEvictorOptions {
  readonly objects: ObjectEviction & ObjectLists;
  readonly store: Pick<SharedStore, "remove">;
  /** In bytes. Without it, nothing is marked but on command. */
  readonly maxSize: number | undefined;
  readonly leadership: Leadership;
  readonly events: Pick<SharedRetentionEvents, "evicted" | "fullOfPins" | "deletionRefused">;
  /** Objects per statement and request; at most, and by default, `MAX_OBJECTS`. */
  readonly batch?: number;
  /** How long objects are going before they are deleted; by default, `GRACE_MS`. */
  readonly graceMs?: number;
}

/**
 * Keeps the shared store within its limit, least recently used first, in two phases: objects are marked, and
 * deleted after the grace period unless somebody uses them. Only the leader does so. It goes by its own clock,
 * right before each request: one that was stopped for a while does not know that another leads.
 */
export class SharedEvictor {
  readonly #options: SharedEvictorOptions;
  readonly #batch: number;
  /** Why the store lets nothing be deleted, as it was found last. */
  #refusal: string | undefined;

  constructor(options: SharedEvictorOptions) {
    this.#options = options;
    this.#batch = options.batch ?? MAX_OBJECTS;
  }

  /** Deletes what is due, and marks what exceeds the limit. Does nothing while another replica leads. */
  async round(signal: AbortSignal): Promise<void> {
    const { leadership, maxSize, objects, events } = this.#options;
    await this.#deleteDue(signal);
    if (this.#refusal !== undefined && leadership.fence !== undefined) {
      events.deletionRefused(this.#refusal);
    }
    if (leadership.fence === undefined || maxSize === undefined || signal.aborted) return;
    const { here } = await objects.totals();
    if (here.bytes < ROOMY * maxSize) await objects.forgetHorizon();
    if (here.bytes <= HIGH_WATER * maxSize) return;
    // While nothing can be deleted, nothing is marked: in the end, all of the store would be going.
    if ((await objects.overdue()) > DELETION_MS) return;
    const marked = await this.mark(LOW_WATER * maxSize, signal);
    const left = here.bytes - marked.bytes;
    if (left > maxSize && !signal.aborted) events.fullOfPins(left, maxSize);
  }

  /**
   * What an operator asks for: marks what exceeds the limit now, on any replica. Only counts it in a dry run.
   *
   * @param maxSize in bytes
   */
  async collect(maxSize: number, dryRun: boolean, signal: AbortSignal): Promise<ObjectCount> {
    const { objects } = this.#options;
    const { here } = await objects.totals();
    if (here.bytes <= HIGH_WATER * maxSize) return { objects: 0, bytes: 0 };
    const above = LOW_WATER * maxSize;
    return dryRun ? objects.countLeastRecentlyUsed(above) : this.mark(above, signal);
  }

  /**
   * Marks the least recently used objects, until those that are left take at most so many bytes. Any replica may
   * do so.
   */
  async mark(above: number, signal: AbortSignal): Promise<ObjectCount> {
    let [objects, bytes] = [0, 0];
    while (!signal.aborted) {
      const limit = this.#batch;
      const marked = await this.#options.objects.markLeastRecentlyUsed({ above, limit });
      objects += marked.objects;
      bytes += marked.bytes;
      if (marked.objects < limit) break;
    }
    return { objects, bytes };
  }

  async #deleteDue(signal: AbortSignal): Promise<void> {
    const { objects, store, leadership, graceMs, events } = this.#options;
    const { fence } = leadership;
    if (fence === undefined) return;
    const isLeading = (): boolean => leadership.fence === fence;
    while (isLeading() && !signal.aborted) {
      const due = await objects.takeGoing(fence, this.#batch, graceMs);
      if (due.length === 0) return;
      const limited = AbortSignal.any([signal, AbortSignal.timeout(DELETE_MS)]);
      const { deleted, refused, error } = await deleteObjects(store, due, limited, isLeading);
      if (deleted.length > 0) events.evicted(await objects.deleted(fence, deleted));
      if (refused.length > 0) await objects.refused(fence, refused);
      this.#refusal = deleted.length === 0 && isDenial(error) ? error.message : undefined;
      if (deleted.length > 0) continue;
      // The rows say that the objects are being deleted, until their time is up: then they are tried again.
      if (error !== undefined && !isDenial(error)) throw error;
      return;
    }
  }
}
