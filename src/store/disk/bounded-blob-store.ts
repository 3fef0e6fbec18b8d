import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobEntry, BlobStore, Draft, StoredBlob } from "../blob-store.ts";
import { Leases } from "../memory/recently-opened.ts";
import type { Space } from "./disk-budget.ts";

/** Room that a draft takes at once, in bytes, so that it does not ask for every chunk. */
const STEP = 256 * 1024;

/** A store of blobs that takes room before it writes, and gives it back. */
export class BoundedBlobs implements BlobStore {
  readonly leases = new Leases();
  readonly #store: BlobStore;
  readonly #space: Space;
  /** What beginnings took that have no draft now. At most as many as there are such files. */
  readonly #kept = new Map<Digest, number>();
  #hasLooked = false;

  constructor(store: BlobStore, space: Space) {
    this.#store = store;
    this.#space = space;
  }

  async open(digest: Digest, isAnew?: boolean): Promise<StoredBlob | undefined> {
    this.leases.give(digest);
    return this.#store.open(digest, isAnew);
  }

  async draft(digest: Digest): Promise<Draft> {
    if (!this.#space.fullness.isWorthTrying()) {
      throw new Fault({ kind: "storage", reason: "the disk was full a moment ago" });
    }
    try {
      const draft = await this.#store.draft(digest);
      const kept = this.#kept.get(digest) ?? 0;
      this.#kept.delete(digest);
      // What it really begins with may be less than what was kept, or more than what was known.
      this.#space.adopt(draft.length - kept);
      return new BoundedDraft(draft, this.#space, (bytes) => this.#kept.set(digest, bytes));
    } catch (error) {
      this.#space.fullness.failed(error);
      throw error;
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    return this.#store.remove(digest);
  }

  setAside(digest: Digest): Promise<boolean> {
    return this.#store.setAside(digest);
  }

  entries(): AsyncIterable<BlobEntry> {
    return this.#store.entries();
  }

  /** Who looks first counts what an earlier process left: before there is any draft. */
  async *kept(): AsyncGenerator<BlobEntry> {
    const isFirst = !this.#hasLooked;
    this.#hasLooked = true;
    for await (const entry of this.#store.kept()) {
      // Later, one that is not known here was taken up again since its file was seen.
      if (isFirst && !this.#kept.has(entry.digest)) {
        this.#kept.set(entry.digest, entry.size);
        this.#space.adopt(entry.size);
      }
      yield entry;
    }
  }

  async forget(digest: Digest): Promise<boolean> {
    const isGone = await this.#store.forget(digest);
    const kept = this.#kept.get(digest);
    if (isGone && kept !== undefined) {
      this.#kept.delete(digest);
      this.#space.give(kept);
    }
    return isGone;
  }
}

class BoundedDraft implements Draft {
  readonly #draft: Draft;
  readonly #space: Space;
  readonly #onKept: (bytes: number) => void;
  /** Bytes of room, whether they are used already or not. */
  #taken: number;
  /** Of the content as a whole, where it is known. */
  #size = Infinity;

  constructor(draft: Draft, space: Space, onKept: (bytes: number) => void) {
    this.#draft = draft;
    this.#space = space;
    this.#onKept = onKept;
    this.#taken = draft.length;
  }

  get digest(): Digest {
    return this.#draft.digest;
  }

  get length(): number {
    return this.#draft.length;
  }

  async reserve(size: number): Promise<void> {
    await this.#space.promise(this.digest, size);
    this.#size = size;
  }

  async append(chunk: Uint8Array): Promise<void> {
    const missing = this.#draft.length + chunk.byteLength - this.#taken;
    if (missing > 0) {
      // A small content, such as a manifest, takes no more than it has.
      const step = this.#draft.length === 0 ? missing : STEP;
      const taking = Math.max(missing, Math.min(step, this.#size - this.#taken));
      await this.#space.take(taking);
      this.#taken += taking;
    }
    await this.#noted(() => this.#draft.append(chunk));
  }

  read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#draft.read(first, end);
  }

  prefix(): { length: number; hasher: Bun.CryptoHasher } {
    return this.#draft.prefix();
  }

  verify(): boolean {
    return this.#draft.verify();
  }

  async commit(): Promise<StoredBlob> {
    const stored = await this.#noted(() => this.#draft.commit());
    this.#space.release(this.digest);
    this.#space.give(this.#taken - stored.size);
    this.#taken = 0;
    this.#space.settle(stored.size);
    this.#space.fullness.stored();
    return stored;
  }

  async keep(): Promise<void> {
    const { length } = this.#draft;
    const isWhole = length > 0;
    this.#space.release(this.digest);
    await this.#draft.keep();
    this.#space.give(this.#taken - (isWhole ? length : 0));
    this.#taken = 0;
    if (isWhole) this.#onKept(length);
  }

  async discard(): Promise<void> {
    try {
      await this.#draft.discard();
    } finally {
      this.#space.release(this.digest);
      this.#space.give(this.#taken);
      this.#taken = 0;
    }
  }

  async #noted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#space.fullness.failed(error);
      throw error;
    }
  }
}
