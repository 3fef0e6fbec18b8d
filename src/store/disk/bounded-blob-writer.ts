import type { Digest } from "../../oci/digest.ts";
import type { BlobWriter, StoredBlob } from "../blob-store.ts";
import type { Extent } from "../extents.ts";
import type { DiskBudget } from "../space/disk-budget.ts";

/** Space that a writer claims at a time, in bytes, so that it does not claim for every chunk. */
const CLAIM_BYTES = 256 * 1024;

/** What the store has to know of its writers. */
export interface WriterEvents {
  /** The writer was suspended, and its bytes take this space. */
  readonly suspended: (bytes: number) => void;
  /** The blob was stored. Returns whether it took the place of a file that could not be read. */
  readonly replaces: () => boolean;
}

/** A `BlobWriter` that claims space before it writes. */
export class BoundedBlobWriter implements BlobWriter {
  readonly #writer: BlobWriter;
  readonly #budget: DiskBudget;
  readonly #events: WriterEvents;
  /** Bytes for which there is space, and that are being written. */
  #writing = 0;
  /** Bytes of space claimed so far, whether they are written yet or not. */
  #claimed: number;
  /** Of the whole blob in bytes, once it is known. */
  #size = Infinity;
  /** The last claim in progress: one is made after the other. It never rejects. */
  #claiming: Promise<void> | undefined;

  constructor(writer: BlobWriter, budget: DiskBudget, events: WriterEvents) {
    this.#writer = writer;
    this.#budget = budget;
    this.#events = events;
    this.#claimed = budget.spaceOf(writer.written);
  }

  get digest(): Digest {
    return this.#writer.digest;
  }

  get length(): number {
    return this.#writer.length;
  }

  async reserve(size: number): Promise<void> {
    await this.#budget.reserve(this, this.#budget.spaceOf(size));
    this.#size = size;
  }

  get ahead(): readonly Extent[] {
    return this.#writer.ahead;
  }

  get written(): number {
    return this.#writer.written;
  }

  append(chunk: Uint8Array): Promise<void> {
    return this.#write(chunk.byteLength, () => this.#writer.append(chunk));
  }

  writeAhead(first: number, chunks: readonly Uint8Array[]): Promise<void> {
    const bytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return this.#write(bytes, () => this.#writer.writeAhead(first, chunks));
  }

  absorb(): Promise<boolean> {
    return this.#recordFailure(() => this.#writer.absorb());
  }

  async #write(bytes: number, work: () => Promise<void>): Promise<void> {
    if (this.#claiming || this.#missing(bytes) > 0) await this.#claim(bytes);
    else this.#writing += bytes;
    try {
      await this.#recordFailure(work);
    } finally {
      this.#writing -= bytes;
    }
  }

  /** How much space has to be claimed before so many bytes more are written. */
  #missing(bytes: number): number {
    return Math.min(this.#writer.written + this.#writing + bytes, this.#size) - this.#claimed;
  }

  async #claim(bytes: number): Promise<void> {
    const claim = this.#claimAfter(this.#claiming, bytes);
    const settled = claim.catch(() => {});
    this.#claiming = settled;
    try {
      await claim;
    } finally {
      if (this.#claiming === settled) this.#claiming = undefined;
    }
  }

  async #claimAfter(before: Promise<void> | undefined, bytes: number): Promise<void> {
    await before;
    const missing = this.#missing(bytes);
    if (missing > 0) {
      // The first chunk claims its own size only: it may be all of a small blob, such as a manifest.
      const step = this.#claimed === 0 ? 0 : Math.min(CLAIM_BYTES, this.#size - this.#claimed);
      const space = this.#budget.spaceOf(Math.max(missing, step));
      await this.#budget.claim(space);
      this.#claimed += space;
    }
    this.#writing += bytes;
  }

  read(first: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
    return this.#writer.read(first, end, into);
  }

  get resumable(): number {
    return this.#writer.resumable;
  }

  prefix(): { length: number; hasher: Bun.CryptoHasher } {
    return this.#writer.prefix();
  }

  verify(): boolean {
    return this.#writer.verify();
  }

  async commit(): Promise<StoredBlob> {
    const stored = await this.#recordFailure(() => this.#writer.commit());
    this.#end();
    const space = this.#budget.spaceOf(stored.size);
    this.#budget.release(this.#claimed - space);
    this.#claimed = 0;
    this.#budget.commit(space);
    if (this.#events.replaces()) this.#budget.changeBlobBytes(-space);
    this.#budget.fullState.recordSuccess();
    return stored;
  }

  async suspend(): Promise<void> {
    const space = this.#budget.spaceOf(this.#writer.written);
    this.#end();
    await this.#writer.suspend();
    this.#budget.release(this.#claimed - space);
    this.#claimed = 0;
    if (space > 0) this.#events.suspended(space);
  }

  async discard(): Promise<void> {
    try {
      await this.#writer.discard();
    } finally {
      this.#end();
      this.#budget.release(this.#claimed);
      this.#claimed = 0;
    }
  }

  #end(): void {
    this.#budget.cancelReservation(this);
    this.#budget.inodes.release();
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
