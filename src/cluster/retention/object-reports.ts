import { type BlobKey, blobKey } from "../../cache/retention/blob-marks.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ObjectClaim, SharedObjectNews } from "../shared-store/object-news.ts";
import {
  GRACE_MS,
  MAX_OBJECTS,
  type ObjectNews,
  type StoredObject,
  USE_STEP_MS,
} from "../objects/object-ledger.ts";

/** An object that was put longer than this after it was claimed may have been deleted again meanwhile. */
const MAX_CLAIM_MS = GRACE_MS - 60_000;
/** How often uses are told, and what the store was seen to lack, in milliseconds. */
const REPORT_MS = 30_000;
/** How often what was stored is told. */
const STORED_MS = 1000;
/** The most digests of each kind that wait to be told. */
const MAX_WAITING = 65_536;
const MAX_STORED_WAITING = 4096;
/** Uses that were told lately, and are not told again: a number each. */
const MAX_TOLD = 131_072;

export interface ObjectReportsOptions {
  readonly objects: ObjectNews;
  /** Called with the error of a report that failed. What it said is told later, as far as there is room. */
  readonly onError: (error: unknown) => void;
  /** In milliseconds; a test may make it shorter. */
  readonly interval?: number;
  /** The monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

interface Stored {
  readonly size: number;
  readonly claimedAt: number;
  readonly storedAt: number;
}

/**
 * What this replica tells of the shared store's objects, in batches and behind the requests that it comes of: the
 * methods without a promise cost a request nothing, and may be called at any rate.
 */
export class ObjectReports implements SharedObjectNews, AsyncDisposable {
  readonly #options: ObjectReportsOptions;
  /** When each was last used, or seen to be missing, by the monotonic clock. */
  #used = new Map<Digest, number>();
  #missing = new Map<Digest, number>();
  #stored = new Map<Digest, Stored>();
  /** Uses that were told in this period of `USE_STEP_MS`. */
  #told = new Set<BlobKey>();
  #toldSince = 0;
  readonly #now: () => number;
  #reporting: Promise<void> = Promise.resolve();
  readonly #timers: readonly ReturnType<typeof setInterval>[];

  constructor(options: ObjectReportsOptions) {
    this.#options = options;
    const { interval = REPORT_MS, now = () => performance.now() } = options;
    this.#now = now;
    this.#timers = [
      setInterval(() => void this.#inTurn(() => this.#reportAll()), interval),
      setInterval(
        () => {
          if (this.#stored.size > 0) void this.#inTurn(() => this.#reportStored());
        },
        Math.min(interval, STORED_MS),
      ),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  /** A blob was served, from wherever it was. */
  used(digest: Digest): void {
    if (this.#used.size >= MAX_WAITING && !this.#used.has(digest)) return;
    this.#used.set(digest, this.#now());
  }

  /** The shared store has no such object. */
  missing(digest: Digest): void {
    if (this.#missing.size >= MAX_WAITING) return;
    this.#missing.set(digest, this.#now());
  }

  async claim(digest: Digest): Promise<ObjectClaim | undefined> {
    const claimedAt = this.#now();
    try {
      if ((await this.#options.objects.claim([digest])).has(digest)) return undefined;
    } catch (error) {
      this.#options.onError(error);
    }
    return {
      stored: (size) => {
        if (this.#stored.size >= MAX_STORED_WAITING) return;
        this.#stored.set(digest, { size, claimedAt, storedAt: this.#now() });
      },
    };
  }

  wanted(ages: ReadonlyMap<Digest, number>): Promise<ReadonlySet<Digest>> {
    return this.#options.objects.wanted(ages);
  }

  async isStaying(digest: Digest): Promise<boolean> {
    try {
      return (await this.#options.objects.staying([digest])).has(digest);
    } catch (error) {
      this.#options.onError(error);
      return false;
    }
  }

  /** Tells what waits now. */
  flush(): Promise<void> {
    return this.#inTurn(() => this.#reportAll());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.flush();
  }

  /** One report after the other, so that an older one never comes later. */
  #inTurn(report: () => Promise<void>): Promise<void> {
    this.#reporting = this.#reporting.then(report).catch((error: unknown) => {
      this.#options.onError(error);
    });
    return this.#reporting;
  }

  async #reportAll(): Promise<void> {
    await this.#reportStored();
    await this.#reportMissing();
    await this.#reportUsed();
  }

  async #reportStored(): Promise<void> {
    for (const batch of batches(this.#stored)) {
      const now = this.#now();
      const stored = batch.flatMap(([digest, { size, claimedAt, storedAt }]): StoredObject[] =>
        now - claimedAt > MAX_CLAIM_MS ? [] : [{ digest, size, storedAgo: now - storedAt }],
      );
      if (stored.length > 0) await this.#options.objects.stored(stored);
      forget(this.#stored, batch);
    }
  }

  async #reportMissing(): Promise<void> {
    const { objects } = this.#options;
    for (const batch of batches(this.#missing)) {
      await objects.lost(this.#agesOf(batch));
      forget(this.#missing, batch);
    }
  }

  async #reportUsed(): Promise<void> {
    const now = this.#now();
    if (now - this.#toldSince > USE_STEP_MS || this.#told.size > MAX_TOLD) {
      this.#told.clear();
      this.#toldSince = now;
    }
    for (const batch of batches(this.#used)) {
      const news = batch.filter(([digest]) => !this.#told.has(blobKey(digest)));
      if (news.length > 0) await this.#options.objects.used(this.#agesOf(news));
      for (const [digest] of news) this.#told.add(blobKey(digest));
      forget(this.#used, batch);
    }
  }

  #agesOf(batch: Batch<number>): Map<Digest, number> {
    const now = this.#now();
    return new Map(batch.map(([digest, at]) => [digest, now - at]));
  }
}

type Batch<Value> = readonly (readonly [Digest, Value])[];

function* batches<Value>(waiting: ReadonlyMap<Digest, Value>): Generator<Batch<Value>> {
  const all = [...waiting];
  for (let first = 0; first < all.length; first += MAX_OBJECTS) {
    yield all.slice(first, first + MAX_OBJECTS);
  }
}

/** Removes what was told, unless it was told anew meanwhile. */
function forget<Value>(waiting: Map<Digest, Value>, told: Batch<Value>): void {
  for (const [digest, value] of told) {
    if (waiting.get(digest) === value) waiting.delete(digest);
  }
}
