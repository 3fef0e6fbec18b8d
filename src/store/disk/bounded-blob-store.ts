import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobEntry, BlobStore, BlobWriter, StoredBlob } from "../blob-store.ts";
import { RecentlyOpened } from "../memory/recently-opened.ts";
import type { DiskBudget } from "./disk-budget.ts";

/** Room that a draft takes at once, in bytes, so that it does not ask for every chunk. */
const CLAIM_BYTES = 256 * 1024;

/** A store of blobs that takes room before it writes, and gives it back. */
export class BoundedBlobStore implements BlobStore {
  readonly recentlyOpened = new RecentlyOpened();
  readonly #store: BlobStore;
  readonly #budget: DiskBudget;
  /** What beginnings took that have no draft now. At most as many as there are such files. */
  readonly #partials = new Map<Digest, number>();
  #hasListed = false;

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
      const kept = this.#partials.get(digest) ?? 0;
      this.#partials.delete(digest);
      // What it really begins with may be less than what was kept, or more than what was known.
      this.#budget.accountPartial(writer.length - kept);
      return new BoundedBlobWriter(writer, this.#budget, (bytes) =>
        this.#partials.set(digest, bytes),
      );
    } catch (error) {
      this.#budget.fullState.recordFailure(error);
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
    const isFirst = !this.#hasListed;
    this.#hasListed = true;
    for await (const entry of this.#store.partials()) {
      // Later, one that is not known here was taken up again since its file was seen.
      if (isFirst && !this.#partials.has(entry.digest)) {
        this.#partials.set(entry.digest, entry.size);
        this.#budget.accountPartial(entry.size);
      }
      yield entry;
    }
  }

  async removePartial(digest: Digest): Promise<boolean> {
    const isGone = await this.#store.removePartial(digest);
    const kept = this.#partials.get(digest);
    if (isGone && kept !== undefined) {
      this.#partials.delete(digest);
      this.#budget.release(kept);
    }
    return isGone;
  }
}

class BoundedBlobWriter implements BlobWriter {
  readonly #writer: BlobWriter;
  readonly #budget: DiskBudget;
  readonly #onSuspend: (bytes: number) => void;
  /** Bytes of room, whether they are used already or not. */
  #claimed: number;
  /** Of the content as a whole, where it is known. */
  #size = Infinity;

  constructor(writer: BlobWriter, budget: DiskBudget, onKept: (bytes: number) => void) {
    this.#writer = writer;
    this.#budget = budget;
    this.#onSuspend = onKept;
    this.#claimed = writer.length;
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
    const missing = this.#writer.length + chunk.byteLength - this.#claimed;
    if (missing > 0) {
      // A small content, such as a manifest, takes no more than it has.
      const step = this.#writer.length === 0 ? missing : CLAIM_BYTES;
      const taking = Math.max(missing, Math.min(step, this.#size - this.#claimed));
      await this.#budget.claim(taking);
      this.#claimed += taking;
    }
    await this.#recordFailure(() => this.#writer.append(chunk));
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
    const stored = await this.#recordFailure(() => this.#writer.commit());
    this.#budget.cancelReservation(this.digest);
    this.#budget.release(this.#claimed - stored.size);
    this.#claimed = 0;
    this.#budget.commit(stored.size);
    this.#budget.fullState.recordSuccess();
    return stored;
  }

  async suspend(): Promise<void> {
    const { length } = this.#writer;
    const isWhole = length > 0;
    this.#budget.cancelReservation(this.digest);
    await this.#writer.suspend();
    this.#budget.release(this.#claimed - (isWhole ? length : 0));
    this.#claimed = 0;
    if (isWhole) this.#onSuspend(length);
  }

  async discard(): Promise<void> {
    try {
      await this.#writer.discard();
    } finally {
      this.#budget.cancelReservation(this.digest);
      this.#budget.release(this.#claimed);
      this.#claimed = 0;
    }
  }

  async #recordFailure<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#budget.fullState.recordFailure(error);
      throw error;
    }
  }
}
