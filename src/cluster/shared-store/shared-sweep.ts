import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobRecords, BlobUse } from "../../store/metadata-store.ts";
import type { SharedObjectNews } from "./object-news.ts";
import { isShareable, type SharedObject, type SharedStore } from "./shared-store.ts";
import { SharedStoreError } from "./shared-store-error.ts";
import type { SharedStoreHealth } from "./shared-store-health.ts";
import type { SharedWrites } from "./shared-writes.ts";

const PAGE = 256;
/** How often it is looked whether a sweep is due, in milliseconds. */
const LOOK_MS = 60_000;
const INTERVAL_MS = 3_600_000;
const FIRST_WITHIN_MS = 300_000;
/**
 * Only what was used within this time is added, in milliseconds: what was evicted from the shared store was not,
 * and would come back for ever.
 */
const RECENT_MS = 24 * 3_600_000;

export interface SharedSweepOptions {
  readonly store: SharedStore;
  readonly health: SharedStoreHealth;
  readonly writes: SharedWrites;
  /** What is stored here. */
  readonly records: Pick<BlobRecords, "page">;
  /** Whether it is for this replica to write a blob that others may have too. */
  readonly isOwn: (digest: Digest) => Promise<boolean>;
  /** Absent where nobody keeps account of the store's objects. */
  readonly news?: Pick<SharedObjectNews, "wanted"> | undefined;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * Has what the shared store lacks written to it: what was downloaded while it was away, or faster than it could
 * be written. Both sides are listed in the order of their digests, so that neither is in memory as a whole.
 */
export class SharedSweep implements Disposable {
  readonly #options: SharedSweepOptions;
  readonly #closing = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #sweptAt: number;
  #running: Promise<unknown> | undefined;

  constructor(options: SharedSweepOptions) {
    this.#options = options;
    // What the last process has left is found soon. Replicas that start together do not sweep together.
    this.#sweptAt = performance.now() - INTERVAL_MS + Math.random() * FIRST_WITHIN_MS;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /**
   * Adds what is missing to the writes.
   *
   * @returns how many blobs were missing
   * @throws SharedStoreError if the store cannot be listed, another error if the ledger is away
   */
  async run(): Promise<number> {
    const { writes, isOwn, news } = this.#options;
    const { signal } = this.#closing;
    let missing = 0;
    for await (const digest of news ? this.#unknownTo(news) : this.#unlisted()) {
      if (signal.aborted) break;
      if (!(await isOwn(digest))) continue;
      missing += 1;
      await writes.addBehind(digest, signal);
    }
    return missing;
  }

  /** What the ledger does not know to be in the store: listing that would cost a request per thousand blobs. */
  async *#unknownTo(news: Pick<SharedObjectNews, "wanted">): AsyncGenerator<Digest> {
    const { now = Date.now } = this.#options;
    for await (const page of this.#pages()) {
      const at = now();
      const ages = page
        .filter(({ digest, size }) => isShareable(digest, size))
        .map(({ digest, usedAt }) => [digest, Math.max(0, at - usedAt)] as const);
      if (ages.length > 0) yield* await news.wanted(new Map(ages));
    }
  }

  async *#unlisted(): AsyncGenerator<Digest> {
    const { store, now = Date.now } = this.#options;
    const { signal } = this.#closing;
    const since = now() - RECENT_MS;
    const there = store.list(undefined, signal)[Symbol.asyncIterator]();
    let object: SharedObject | undefined = await nextOf(there);
    try {
      for await (const page of this.#pages()) {
        for (const { digest, size, usedAt } of page) {
          if (usedAt < since || !isShareable(digest, size)) continue;
          while (object && object.digest < digest) object = await nextOf(there);
          if (object?.digest !== digest || object.size !== size) yield digest;
        }
      }
    } finally {
      await there.return?.();
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#closing.abort(new Error("the cache is shutting down"));
  }

  #look(): void {
    const { health, writes } = this.#options;
    if (this.#running || health.state !== "up") return;
    const isDue = performance.now() - this.#sweptAt >= INTERVAL_MS;
    // What did not fit while there was too much is found once that is written.
    if (!isDue && (writes.backlog > 0 || !writes.takeMissed())) return;
    this.#sweptAt = performance.now();
    this.#running = this.run()
      .catch((error: unknown) => {
        if (error instanceof SharedStoreError) health.readFailed(error);
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Of what is stored here. */
  async *#pages(): AsyncGenerator<readonly BlobUse[]> {
    // Reading metadata never yields, and most of it may be of no interest.
    const yielder = new EventLoopYielder(0.25);
    let last: Digest | undefined;
    for (;;) {
      const page = await this.#options.records.page(PAGE, last);
      yield page;
      await yielder.pause();
      last = page.at(-1)?.digest;
      if (page.length < PAGE) return;
    }
  }
}

async function nextOf(objects: AsyncIterator<SharedObject>): Promise<SharedObject | undefined> {
  const { done, value } = await objects.next();
  return done ? undefined : value;
}
