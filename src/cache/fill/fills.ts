import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import { SingleFlight } from "../single-flight.ts";
import { Fill } from "./fill.ts";
import type { Source } from "./source.ts";
import { toFault } from "./transient.ts";

export interface FillEvent {
  readonly digest: Digest;
  /** Where it was first asked for. */
  readonly source: string;
  /** In bytes. */
  readonly size?: number;
  /** Why it failed, where it did. */
  readonly fault?: Fault;
}

export interface FillObserver {
  /** A fill's content is in the store. */
  stored(blob: StoredBlob): Promise<void>;
  ended(event: FillEvent): void;
}

/** Everything that is being brought in: one fill per digest at a time. */
export class Fills {
  readonly #store: BlobStore;
  readonly #observer: FillObserver;
  readonly #running = new Map<Digest, Fill>();
  readonly #puts = new SingleFlight<StoredBlob>();
  /** Complete, and read to their end by those who followed them. */
  readonly #followed = new Map<Digest, Fill>();
  #stopping = false;

  constructor(store: BlobStore, observer: FillObserver) {
    this.#store = store;
    this.#observer = observer;
  }

  get count(): number {
    return this.#running.size;
  }

  /** In the order in which they began. */
  get all(): Iterable<Fill> {
    return this.#running.values();
  }

  running(digest: Digest): Fill | undefined {
    return this.#running.get(digest);
  }

  /** Whether it is being brought in, or somebody still reads it as it was. */
  inUse(digest: Digest): boolean {
    return this.#running.has(digest) || this.#puts.isRunning(digest) || this.#followed.has(digest);
  }

  /** The fill that runs already, which may then take from `source` too, or a new one. */
  join(digest: Digest, source: Source, size?: number): Fill {
    const running = this.#running.get(digest);
    if (running) {
      running.sources.add(source);
      return running;
    }
    if (this.#stopping)
      throw new Fault({ kind: "cancelled", reason: "the cache is shutting down" });
    const fill = new Fill(digest, this.#store, source, size, this.#puts.running(digest));
    this.#running.set(digest, fill);
    void this.#watch(fill, source.name);
    return fill;
  }

  /** Stores bytes that are in memory, a manifest's. They must be what the digest says. */
  put(digest: Digest, bytes: Uint8Array): Promise<StoredBlob> {
    return this.#puts.run(digest, async () => {
      // Fills that begin after this wait for it: a content has one draft at a time.
      const running = this.#running.get(digest);
      const filled = await running?.stored.catch(() => undefined);
      return filled ?? (await this.#store.open(digest)) ?? this.#write(digest, bytes);
    });
  }

  /** Lets fills finish for `grace` milliseconds, then ends the rest so that a later start resumes them. */
  async drain(grace: number): Promise<void> {
    this.#stopping = true;
    const all = Promise.allSettled([...this.#running.values()].map((fill) => fill.stored));
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, grace);
    await Promise.race([all, promise]);
    clearTimeout(timer);
    await Promise.all([...this.#running.values()].map((fill) => fill.stop()));
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
      // Until its draft is closed there can be no other one; who comes meanwhile sees why it failed.
      await fill.ended;
    } finally {
      this.#running.delete(digest);
    }
  }

  #watchFollowers(fill: Fill): void {
    this.#followed.set(fill.digest, fill);
    fill.followers.onceLeft(() => {
      if (this.#followed.get(fill.digest) === fill) this.#followed.delete(fill.digest);
    });
  }

  async #write(digest: Digest, bytes: Uint8Array): Promise<StoredBlob> {
    const kept = await this.#store.writer(digest);
    if (kept.length > 0) await kept.discard();
    const writer = kept.length > 0 ? await this.#store.writer(digest) : kept;
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
