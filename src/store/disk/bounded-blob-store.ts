import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobEntry, BlobStore, BlobWriter, StoredBlob } from "../blob-store.ts";
import { RecentlyOpened } from "../memory/recently-opened.ts";
import type { DiskBudget } from "./disk-budget.ts";

/** Room that a draft takes at once, in bytes, so that it does not ask for every chunk. */
const STEP = 256 * 1024;

/** A store of blobs that takes room before it writes, and gives it back. */
export class BoundedBlobStore implements BlobStore {
  readonly recentlyOpened = new RecentlyOpened();
  readonly #store: BlobStore;
  readonly #budget: DiskBudget;
  /** What beginnings took that have no draft now. At most as many as there are such files. */
  readonly #kept = new Map<Digest, number>();
  #hasLooked = false;

  constructor(store: BlobStore, budget: DiskBudget) {
    this.#store = store;
    this.#budget = budget;
  }

  async open(digest: Digest, isAnew?: boolean): Promise<StoredBlob | undefined> {
    this.recentlyOpened.add(digest);
    return this.#store.open(digest, isAnew);
  }

  async writer(digest: Digest): Promise<BlobWriter> {
    if (!this.#budget.fullState.shouldRetry()) {
      throw new Fault({ kind: "no-space", reason: "the disk was full a moment ago" });
    }
    try {
      const writer = await this.#store.writer(digest);
      const kept = this.#kept.get(digest) ?? 0;
      this.#kept.delete(digest);
      // What it really begins with may be less than what was kept, or more than what was known.
      this.#budget.account(writer.length - kept);
      return new BoundedBlobWriter(writer, this.#budget, (bytes) => this.#kept.set(digest, bytes));
    } catch (error) {
      this.#budget.fullState.noteFailure(error);
      throw error;
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    return this.#store.remove(digest);
  }

  quarantine(digest: Digest): Promise<boolean> {
    return this.#store.quarantine(digest);
  }

  entries(): AsyncIterable<BlobEntry> {
    return this.#store.entries();
  }

  /** Who looks first counts what an earlier process left: before there is any draft. */
  async *partials(): AsyncGenerator<BlobEntry> {
    const isFirst = !this.#hasLooked;
    this.#hasLooked = true;
    for await (const entry of this.#store.partials()) {
      // Later, one that is not known here was taken up again since its file was seen.
      if (isFirst && !this.#kept.has(entry.digest)) {
        this.#kept.set(entry.digest, entry.size);
        this.#budget.account(entry.size);
      }
      yield entry;
    }
  }

  async removePartial(digest: Digest): Promise<boolean> {
    const isGone = await this.#store.removePartial(digest);
    const kept = this.#kept.get(digest);
    if (isGone && kept !== undefined) {
      this.#kept.delete(digest);
      this.#budget.giveBack(kept);
    }
    return isGone;
  }
}

class BoundedBlobWriter implements BlobWriter {
  readonly #writer: BlobWriter;
  readonly #budget: DiskBudget;
  readonly #onKept: (bytes: number) => void;
  /** Bytes of room, whether they are used already or not. */
  #taken: number;
  /** Of the content as a whole, where it is known. */
  #size = Infinity;

  constructor(writer: BlobWriter, budget: DiskBudget, onKept: (bytes: number) => void) {
    this.#writer = writer;
    this.#budget = budget;
    this.#onKept = onKept;
    this.#taken = writer.length;
  }

  get digest(): Digest {
    return this.#writer.digest;
  }

  get length(): number {
    return this.#writer.length;
  }

  async reserve(size: number): Promise<void> {
    await this.#budget.reserve(this.digest, size);
    this.#size = size;
  }

  async append(chunk: Uint8Array): Promise<void> {
    const missing = this.#writer.length + chunk.byteLength - this.#taken;
    if (missing > 0) {
      // A small content, such as a manifest, takes no more than it has.
      const step = this.#writer.length === 0 ? missing : STEP;
      const taking = Math.max(missing, Math.min(step, this.#size - this.#taken));
      await this.#budget.take(taking);
      this.#taken += taking;
    }
    await this.#noted(() => this.#writer.append(chunk));
  }

  read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#writer.read(first, end);
  }

  prefix(): { length: number; hasher: Bun.CryptoHasher } {
    return this.#writer.prefix();
  }

  verify(): boolean {
    return this.#writer.verify();
  }

  async commit(): Promise<StoredBlob> {
    const stored = await this.#noted(() => this.#writer.commit());
    this.#budget.releaseReservation(this.digest);
    this.#budget.giveBack(this.#taken - stored.size);
    this.#taken = 0;
    this.#budget.completed(stored.size);
    this.#budget.fullState.noteStored();
    return stored;
  }

  async suspend(): Promise<void> {
    const { length } = this.#writer;
    const isWhole = length > 0;
    this.#budget.releaseReservation(this.digest);
    await this.#writer.suspend();
    this.#budget.giveBack(this.#taken - (isWhole ? length : 0));
    this.#taken = 0;
    if (isWhole) this.#onKept(length);
  }

  async discard(): Promise<void> {
    try {
      await this.#writer.discard();
    } finally {
      this.#budget.releaseReservation(this.digest);
      this.#budget.giveBack(this.#taken);
      this.#taken = 0;
    }
  }

  async #noted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#budget.fullState.noteFailure(error);
      throw error;
    }
  }
}
