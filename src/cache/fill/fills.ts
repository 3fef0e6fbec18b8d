import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import { SingleFlight } from "../single-flight.ts";
import { Fill } from "./fill.ts";
import type { Source } from "./source.ts";
import { toFault } from "./transient.ts";

export interface FillEvent {
  readonly digest: Digest;
  /** Name of the source with which the fill began. */
  readonly source: string;
  /** In bytes. */
  readonly size?: number;
  /** Set if the fill failed. */
  readonly fault?: Fault;
}

export interface FillObserver {
  /** A fill has stored its blob. */
  stored(blob: StoredBlob): Promise<void>;
  ended(event: FillEvent): void;
}

/** All downloads in progress: single-flight, so at most one fill per digest. */
export class Fills {
  readonly #store: BlobStore;
  readonly #observer: FillObserver;
  readonly #running = new Map<Digest, Fill>();
  readonly #puts = new SingleFlight<StoredBlob>();
  /** Completed fills whose followers are still reading. */
  readonly #followed = new Map<Digest, Fill>();
  #isStopping = false;

  constructor(store: BlobStore, observer: FillObserver) {
    this.#store = store;
    this.#observer = observer;
  }

  /** How many fills are running. */
  get count(): number {
    return this.#running.size;
  }

  /** The running fills, in order of their start. */
  get all(): Iterable<Fill> {
    return this.#running.values();
  }

  running(digest: Digest): Fill | undefined {
    return this.#running.get(digest);
  }

  /** Whether the blob is being filled or put, or followers of a completed fill still read it. */
  inUse(digest: Digest): boolean {
    return this.#running.has(digest) || this.#puts.isRunning(digest) || this.#followed.has(digest);
  }

  /**
   * Returns the running fill of this digest, to which `source` is added, or starts one.
   *
   * @param size of the blob in bytes, if a manifest names it
   * @throws Fault of kind `cancelled` while the cache shuts down
   */
  startOrJoin(digest: Digest, source: Source, size?: number): Fill {
    const running = this.#running.get(digest);
    if (running) {
      running.sources.add(source);
      return running;
    }
    if (this.#isStopping)
      throw new Fault({ kind: "cancelled", reason: "the cache is shutting down" });
    const fill = new Fill(digest, this.#store, source, size, this.#puts.running(digest));
    this.#running.set(digest, fill);
    void this.#watch(fill, source.name);
    return fill;
  }

  /** Stores bytes from memory, those of a manifest. They must match the digest. */
  put(digest: Digest, bytes: Uint8Array): Promise<StoredBlob> {
    return this.#puts.run(digest, async () => {
      // A blob has at most one writer: wait for a running fill. Later fills wait for this put.
      const running = this.#running.get(digest);
      const filled = await running?.stored.catch(() => undefined);
      return filled ?? (await this.#store.open(digest)) ?? this.#write(digest, bytes);
    });
  }

  /**
   * Lets running fills finish for `grace` milliseconds, then suspends the rest, so that the next
   * process resumes them. New fills are refused.
   */
  async drain(grace: number): Promise<void> {
    this.#isStopping = true;
    const all = Promise.allSettled([...this.#running.values()].map((fill) => fill.stored));
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, grace);
    await Promise.race([all, promise]);
    clearTimeout(timer);
    await Promise.all([...this.#running.values()].map((fill) => fill.suspend()));
  }

  async #watch(fill: Fill, source: string): Promise<void> {
    const { digest } = fill;
    try {
      const blob = await fill.stored;
      if (fill.followers.count > 0) this.#watchFollowers(fill);
      await this.#observer.stored(blob);
      this.#observer.ended({ digest, source, size: blob.size });
    } catch (error) {
      const fault = toFault(error);
      this.#observer.ended({ digest, source, fault });
      // There can be no other writer before this one is closed. Requests meanwhile get this fault.
      await fill.ended;
    } finally {
      this.#running.delete(digest);
    }
  }

  #watchFollowers(fill: Fill): void {
    this.#followed.set(fill.digest, fill);
    fill.followers.onIdle(() => {
      if (this.#followed.get(fill.digest) === fill) this.#followed.delete(fill.digest);
    });
  }

  /** Writes the bytes, in place of a partial file if there is one. */
  async #write(digest: Digest, bytes: Uint8Array): Promise<StoredBlob> {
    const resumed = await this.#store.writer(digest);
    if (resumed.length > 0) await resumed.discard();
    const writer = resumed.length > 0 ? await this.#store.writer(digest) : resumed;
    try {
      await writer.append(bytes);
      writer.verify();
      return await writer.commit();
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }
}
