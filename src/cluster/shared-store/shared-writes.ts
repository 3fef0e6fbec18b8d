import type { Digest } from "../../oci/digest.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { ObjectClaim, SharedObjectNews } from "./object-news.ts";
import { isShareable, type SharedStore } from "./shared-store.ts";
import { SharedStoreError, type SharedStoreProblem } from "./shared-store-error.ts";
import type { SharedStoreHealth } from "./shared-store-health.ts";

/** The most blobs that wait; what does not fit is found by a sweep. */
const MAX_WAITING = 1024;
/** How many are written at once. */
const MAX_WRITES = 2;

export interface SharedWritesEvents {
  /** The shared store has a blob, which this replica has just written or found there. */
  shared(
    blob: Pick<StoredBlob, "digest" | "size">,
    written?: { readonly milliseconds: number },
  ): void;
  /** A blob cannot be in the shared store. */
  notShareable(blob: Pick<StoredBlob, "digest" | "size">): void;
  /** The store has refused bytes of this machine's disk, since they do not match their digest. */
  damaged(digest: Digest): void;
  /** The cache stops before so many blobs were written: a sweep of the next process finds them. */
  left(blobs: number): void;
}

export interface SharedWritesOptions {
  readonly store: SharedStore;
  readonly local: LocalBlobs;
  readonly health: SharedStoreHealth;
  readonly events: SharedWritesEvents;
  /** Absent where nobody keeps account of the store's objects. */
  readonly news?: Pick<SharedObjectNews, "claim"> | undefined;
}

const UNCLAIMED: ObjectClaim = { stored() {} };

/** Why a store does not say whether it has a blob: this replica may not read it. */
const REFUSALS: ReadonlySet<SharedStoreProblem["kind"]> = new Set([
  "denied",
  "credentials",
  "clock",
]);

/** Nothing was written, and whether it can be is not known: it was not even read. */
class UnreadableError extends Error {
  constructor(readonly refusal: SharedStoreError) {
    super(refusal.message);
  }
}

/** Where the blobs are. */
export interface LocalBlobs {
  readonly store: Pick<BlobStore, "open">;
  /** Keeps a blob from being evicted meanwhile. */
  readonly using: <Value>(digest: Digest, work: () => Promise<Value>) => Promise<Value>;
}

/**
 * Writes blobs to the shared store, behind the pulls that brought them: no client waits for that, and none
 * fails by it. While the store fails, they wait.
 */
export class SharedWrites implements Disposable {
  readonly #options: SharedWritesOptions;
  /** In order of their arrival. */
  readonly #waiting = new Set<Digest>();
  readonly #writing = new Set<Digest>();
  readonly #closing = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #room = Promise.withResolvers<void>();
  #hasMissed = false;

  constructor(options: SharedWritesOptions) {
    this.#options = options;
  }

  /** How many blobs are to be written. */
  get backlog(): number {
    return this.#waiting.size + this.#writing.size;
  }

  /** Whether something was not taken since the last call: only a sweep finds it. */
  takeMissed(): boolean {
    const hasMissed = this.#hasMissed;
    this.#hasMissed = false;
    return hasMissed;
  }

  /** A blob of the local store is to be written. */
  add(digest: Digest): void {
    if (this.#closing.signal.aborted || this.#waiting.has(digest)) return;
    if (this.#writing.has(digest)) return;
    if (this.#waiting.size >= MAX_WAITING) this.#hasMissed = true;
    else this.#waiting.add(digest);
    this.#next();
  }

  /** Adds a blob once there is room, which others need more. */
  async addBehind(digest: Digest, signal: AbortSignal): Promise<void> {
    while (this.#waiting.size >= MAX_WAITING / 4 && !signal.aborted) await this.#room.promise;
    if (!signal.aborted) this.add(digest);
  }

  /** Gives up what is being written. */
  [Symbol.dispose](): void {
    if (this.#closing.signal.aborted) return;
    if (this.backlog > 0) this.#options.events.left(this.backlog);
    this.#closing.abort(new Error("the cache is shutting down"));
    this.#waiting.clear();
    clearTimeout(this.#timer);
    this.#room.resolve();
  }

  #next(): void {
    const { health } = this.#options;
    clearTimeout(this.#timer);
    while (this.#waiting.size > 0 && this.#writing.size < MAX_WRITES) {
      const wait = Math.max(health.reads.wait, health.writes.wait);
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#next(), wait).unref();
        return;
      }
      // Another one tries already, and calls this when it has ended.
      if (!health.writes.admit()) return;
      const [digest] = this.#waiting;
      if (digest === undefined) return;
      this.#waiting.delete(digest);
      this.#writing.add(digest);
      void this.#run(digest);
    }
  }

  async #run(digest: Digest): Promise<void> {
    const isToRepeat = await this.#options.local.using(digest, () => this.#share(digest));
    this.#writing.delete(digest);
    if (isToRepeat) this.add(digest);
    this.#room.resolve();
    this.#room = Promise.withResolvers();
    this.#next();
  }

  /** Returns whether it is to be done again, once the store takes something. Never rejects. */
  async #share(digest: Digest): Promise<boolean> {
    const { local, health, events } = this.#options;
    const blob = await local.store.open(digest).catch(() => undefined);
    // Evicted meanwhile, or not to be read now.
    if (!blob || !isShareable(digest, blob.size)) {
      health.writes.abandoned();
      if (blob) events.notShareable(blob);
      return false;
    }
    try {
      await this.#write(blob);
      return false;
    } catch (error) {
      return this.#failed(blob, error);
    }
  }

  async #write(blob: StoredBlob): Promise<void> {
    const { store, health, events, news } = this.#options;
    const { signal } = this.#closing;
    const claim = news ? await news.claim(blob.digest) : UNCLAIMED;
    if (!claim) {
      // It is just being evicted there. If it is used on, a sweep finds it.
      health.writes.abandoned();
      return;
    }
    // A conditional PUT would be refused only after all of it was sent.
    if ((await this.#sizeThere(blob)) === blob.size) {
      health.writes.abandoned();
      health.readSucceeded();
      claim.stored(blob.size);
      events.shared(blob);
      return;
    }
    const startedAt = performance.now();
    await store.write(blob, signal);
    health.writeSucceeded();
    claim.stored(blob.size);
    events.shared(blob, { milliseconds: performance.now() - startedAt });
  }

  /** @throws UnreadableError */
  async #sizeThere({ digest }: StoredBlob): Promise<number | undefined> {
    try {
      return await this.#options.store.size(digest, this.#closing.signal);
    } catch (error) {
      const isRefused = error instanceof SharedStoreError && REFUSALS.has(error.problem.kind);
      throw isRefused ? new UnreadableError(error) : error;
    }
  }

  #failed({ digest }: StoredBlob, error: unknown): boolean {
    const { health, events } = this.#options;
    if (error instanceof UnreadableError) {
      health.writes.abandoned();
      health.readFailed(error.refusal);
      return true;
    }
    const isStores = error instanceof SharedStoreError && error.problem.kind !== "wrong-bytes";
    if (!isStores) {
      // The shutdown, or a file that vanished or cannot be read.
      health.writes.abandoned();
      if (error instanceof SharedStoreError) events.damaged(digest);
      return false;
    }
    health.writeFailed(error);
    // Otherwise it is this blob that the store does not take.
    return error.problem.kind !== "failed" || error.isAbsence;
  }
}
