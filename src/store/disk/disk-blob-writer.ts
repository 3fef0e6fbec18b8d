import type { FileHandle } from "node:fs/promises";
import { byteTurns } from "../../event-loop/byte-turns.ts";
import { type Digest, digestHex } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { BlobWriter, StoredBlob } from "../blob-store.ts";
import type { DiskTimes } from "../disk-times.ts";
import type { Extent, ExtentMap } from "../extents.ts";
import { removeFile } from "../remove-file.ts";
import { storageFault } from "../storage-fault.ts";
import { AheadBytes } from "./ahead-bytes.ts";
import { AppendedBytes } from "./appended-bytes.ts";
import type { ExtentJournal } from "./extent-journal.ts";
import type { BufferPool } from "../../process/buffer-pool.ts";
import { hashPrefix } from "./hash-prefix.ts";
import { readFully } from "./read-fully.ts";
import { resumePartial } from "./resumed-partial.ts";

/** How much of what was written ahead is appended at a time, in bytes. */
const ABSORBED_BYTES = 1024 * 1024;

/** What a writer needs of its store. */
export interface WriterHost {
  /** Of buffers of `BUFFER_BYTES`. */
  readonly buffers: BufferPool;
  /** For bytes that were received and are not written yet. */
  readonly budget: ByteBudget;
  /** A sync starts after each of so many bytes, so that the commit does not have to wait for all of them. */
  readonly syncBytes: number;
  readonly times: DiskTimes;
  /** Makes the bytes of the file durable. */
  sync(file: FileHandle): Promise<void>;
  /** Moves the complete file to the path of the blob, and makes that durable. */
  publish(digest: Digest, path: string, size: number): Promise<StoredBlob>;
  /** Reads bytes of the blob after `publish`. */
  readStored(digest: Digest, first: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The writer has closed its file: its owner may have a new writer of the digest from now on. */
  closed(): void;
}

/** What an earlier writer left. */
interface Resumed {
  readonly hasher: Bun.CryptoHasher;
  readonly length: number;
  readonly journal: ExtentJournal;
  readonly ahead: ExtentMap | undefined;
}

type State = "open" | "verified" | "mismatched" | "committed" | "ended";

/**
 * A `BlobWriter` whose bytes are in a file. At every moment, the file holds a prefix of what was
 * appended, so that a partial download can be resumed after a crash. What is written ahead of that makes
 * the file sparse: then a journal beside it tells what is there.
 */
export class DiskBlobWriter implements BlobWriter {
  readonly digest: Digest;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #host: WriterHost;
  readonly #journal: ExtentJournal;
  readonly #appended: AppendedBytes;
  readonly #ahead: AheadBytes;
  #state: State = "open";
  /** The sync in progress, which never rejects: its error is that of `#appended`. */
  #syncing: Promise<void> | undefined;
  /** How many bytes were written since the last sync was started. */
  #unsyncedBytes = 0;
  #activeReads = 0;
  #onLastReadDone: (() => void) | undefined;

  private constructor(
    digest: Digest,
    path: string,
    file: FileHandle,
    host: WriterHost,
    { hasher, length, journal, ahead }: Resumed,
  ) {
    this.digest = digest;
    this.#path = path;
    this.#file = file;
    this.#host = host;
    this.#journal = journal;
    const { buffers, budget, times } = host;
    this.#appended = new AppendedBytes(
      { file, path, buffers, budget, times, onWritten: (from, end) => this.#appendedTo(from, end) },
      hasher,
      length,
    );
    const onWritten = (bytes: number): void => this.#wrote(bytes);
    this.#ahead = new AheadBytes({ file, journal, budget, times, onWritten }, ahead);
    this.#ahead.extents.removeBefore(length);
  }

  /** Takes ownership of an open file, and hashes the partial download that it holds already. */
  static async open(
    digest: Digest,
    path: string,
    file: FileHandle,
    host: WriterHost,
  ): Promise<DiskBlobWriter> {
    const { journal, extents, prefix } = await resumePartial(file, path);
    const { hasher, length } = await hashPrefix(file, digest, prefix, host.buffers);
    return new DiskBlobWriter(digest, path, file, host, {
      hasher,
      length,
      journal,
      ahead: extents,
    });
  }

  get length(): number {
    return this.#appended.length;
  }

  get ahead(): readonly Extent[] {
    return [...this.#ahead.extents];
  }

  get written(): number {
    return this.length + this.#ahead.extents.bytes;
  }

  /** Does nothing: files grow as they are written. `BoundedBlobStore` enforces the quota. */
  async reserve(): Promise<void> {}

  async append(chunk: Uint8Array): Promise<void> {
    this.#requireState("open", "append to");
    await this.#appended.append(chunk);
  }

  async writeAhead(first: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#requireState("open", "append to");
    if (first < this.length) {
      throw new RangeError(`byte ${first} is not ahead of the ${this.length} appended ones`);
    }
    try {
      await this.#ahead.write(first, chunks, this.#appended.writtenBytes);
    } catch (cause) {
      throw storageFault(`write ${this.#path}`, cause);
    }
  }

  async absorb(): Promise<boolean> {
    this.#requireState("open", "append to");
    const first = this.length;
    const end = Math.min(this.#ahead.extents.endFrom(first), first + ABSORBED_BYTES);
    if (end === first) return false;
    await this.#appended.absorb(end);
    this.#ahead.extents.removeBefore(end);
    return true;
  }

  async read(first: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
    const isThere = end <= this.length || end <= this.#ahead.extents.endFrom(first);
    if (first < 0 || end < first || !isThere) {
      throw new RangeError(`bytes ${first} to ${end} are not in 0 to ${this.length}`);
    }
    if (this.#state === "committed") return this.#host.readStored(this.digest, first, end);
    if (this.#state === "ended") {
      throw new Fault({ kind: "cancelled", reason: `writing ${this.digest} was abandoned` });
    }
    this.#activeReads += 1;
    try {
      if (end <= this.length) await this.#appended.waitUntilWritten(end);
      await byteTurns.begin();
      return await readFully(this.#file, first, end, into);
    } catch (cause) {
      throw storageFault(`read ${this.#path}`, cause);
    } finally {
      this.#activeReads -= 1;
      if (this.#activeReads === 0) this.#onLastReadDone?.();
    }
  }

  get resumable(): number {
    return this.#appended.resumable;
  }

  prefix(): { length: number; hasher: Bun.CryptoHasher } {
    return this.#appended.prefix();
  }

  verify(): boolean {
    if (this.#state === "open") {
      const isMatch = this.#appended.digest() === digestHex(this.digest);
      this.#state = isMatch ? "verified" : "mismatched";
    }
    return this.#state === "verified" || this.#state === "committed";
  }

  async commit(): Promise<StoredBlob> {
    this.#requireState("verified", "commit");
    try {
      await this.#appended.waitUntilWritten(this.length);
      await this.#ahead.idle();
      // A source may have sent more at another time, ahead of what is the end.
      if (this.#ahead.isJournaled) await this.#file.truncate(this.length);
      await this.#syncing;
      // The kernel reports a write-back error only once, to the next sync: an earlier one may have it.
      if (this.#appended.failure) throw this.#appended.failure;
      await this.#host.sync(this.#file);
      // Before the blob is published: without its journal, a partial file counts from its first byte to its last.
      if (this.#ahead.isJournaled) await this.#journal.remove();
    } catch (cause) {
      throw storageFault(`write ${this.#path}`, cause);
    }
    const stored = await this.#host.publish(this.digest, this.#path, this.length);
    this.#state = "committed";
    await this.#close();
    return stored;
  }

  async suspend(): Promise<void> {
    this.#requireUnfinished("suspend");
    if (this.#state === "mismatched" || this.written === 0) return this.discard();
    this.#state = "ended";
    // If the last bytes cannot be written, the partial download is only shorter.
    await this.#appended.waitUntilWritten(this.length).catch(() => undefined);
    await this.#close();
  }

  async discard(): Promise<void> {
    this.#requireUnfinished("discard");
    this.#state = "ended";
    try {
      await removeFile(this.#path);
      if (this.#ahead.isJournaled) await this.#journal.remove();
    } catch (cause) {
      throw storageFault(`remove ${this.#path}`, cause);
    } finally {
      await this.#close();
    }
  }

  #appendedTo(first: number, end: number): void {
    this.#ahead.prefixGrew(first, end);
    this.#wrote(end - first);
  }

  #wrote(bytes: number): void {
    this.#unsyncedBytes += bytes;
    if (this.#unsyncedBytes >= this.#host.syncBytes) this.#startSync();
  }

  #startSync(): void {
    if (this.#syncing || this.#appended.failure) return;
    this.#unsyncedBytes = 0;
    const onSynced = (cause?: unknown): void => {
      if (cause) this.#appended.fail(cause);
      this.#syncing = undefined;
    };
    this.#syncing = this.#host.sync(this.#file).then(() => onSynced(), onSynced);
  }

  /** Closes the file after its last use, since the kernel may give its descriptor to another file at once. */
  async #close(): Promise<void> {
    // First: a read may have a write begin that it waits for.
    if (this.#activeReads > 0) {
      const lastReadDone = Promise.withResolvers<void>();
      this.#onLastReadDone = lastReadDone.resolve;
      await lastReadDone.promise;
    }
    await this.#appended.close();
    await this.#ahead.idle();
    await this.#syncing;
    await this.#journal.close();
    // Everything that has to be durable was synced before, so a failed close loses nothing.
    await this.#file.close().catch(() => undefined);
    this.#host.closed();
  }

  #requireState(state: State, action: string): void {
    if (this.#state === state) return;
    throw new Error(`cannot ${action} ${this.digest}: its writer is ${this.#state}`);
  }

  #requireUnfinished(action: string): void {
    if (this.#state !== "committed" && this.#state !== "ended") return;
    throw new Error(`cannot ${action} ${this.digest}: its writer is ${this.#state}`);
  }
}
