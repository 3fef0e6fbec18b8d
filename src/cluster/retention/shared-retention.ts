import { setTimeout } from "node:timers/promises";
import type { SharedStore } from "../shared-store/shared-store.ts";
import type { Leadership, ObjectLedger, ObjectTotals } from "../objects/object-ledger.ts";
import { ObjectInventory } from "./object-inventory.ts";
import type { SharedRetentionEvents } from "./retention-events.ts";
import { SharedEvictor } from "./shared-evictor.ts";

/** How often the leader looks what is to be done, in milliseconds. */
const ROUND_MS = 30_000;
/** How often it looks until it has reached the ledger once. */
const FIRST_MS = 2000;
/** How long a task rests that has failed: a list that is refused is refused again. */
const REST_MS = 5 * 60_000;

type Task =
  | "reading the shared store's size"
  | "evicting from the shared store"
  | "listing the shared store"
  | "correcting the ledger of the shared store";

export interface SharedRetentionOptions {
  readonly objects: ObjectLedger;
  readonly store: SharedStore;
  /** In bytes. */
  readonly maxSize: number | undefined;
  readonly leadership: Leadership;
  readonly events: SharedRetentionEvents;
  /** In milliseconds; a test may make it shorter. */
  readonly interval?: number;
  /** How long objects are going before they are deleted; by default, `GRACE_MS`. */
  readonly graceMs?: number;
}

/** The upkeep of the shared store: on every replica, and only the one that leads does something. */
export class SharedRetention implements AsyncDisposable {
  readonly evictor: SharedEvictor;
  readonly #options: SharedRetentionOptions;
  readonly #inventory: ObjectInventory;
  readonly #closing = new AbortController();
  readonly #loop: Promise<void>;
  /** When tasks have failed that have not succeeded since, by the monotonic clock. */
  readonly #failed = new Map<Task, number>();
  #totals: ObjectTotals | undefined;

  constructor(options: SharedRetentionOptions) {
    this.#options = options;
    this.evictor = new SharedEvictor(options);
    this.#inventory = new ObjectInventory(options);
    this.#loop = this.#run();
  }

  /** What the store held when that was last read; `undefined` before the first time. */
  get totals(): ObjectTotals | undefined {
    return this.#totals;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error("the cache is shutting down"));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const { objects, leadership, interval = ROUND_MS } = this.#options;
    while (!signal.aborted) {
      await this.#guarded("reading the shared store's size", async () => {
        this.#totals = await objects.totals();
      });
      if (leadership.fence !== undefined) {
        // One after the other: what was deleted since it was listed would be adopted.
        await this.#guarded("evicting from the shared store", () => this.evictor.round(signal));
        await this.#guarded("listing the shared store", () => this.#inventory.round(signal));
        await this.#guarded("correcting the ledger of the shared store", () => objects.tidy());
      }
      // At the start, the ledger may not have been reached yet.
      const pause = this.#totals ? interval : Math.min(interval, FIRST_MS);
      await setTimeout(pause, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Runs a task, and reports the first of several errors in a row. */
  async #guarded(task: Task, work: () => Promise<void>): Promise<void> {
    const failedAt = this.#failed.get(task);
    const isResting = failedAt !== undefined && performance.now() - failedAt < REST_MS;
    if (isResting && task === "listing the shared store") return;
    try {
      await work();
      this.#failed.delete(task);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      if (failedAt === undefined) this.#options.events.failed(task, error);
      this.#failed.set(task, performance.now());
    }
  }
}
