import { type FileHandle, unlink } from "node:fs/promises";
import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { BlobWriter, StoredBlob } from "../blob-store.ts";
import type { DiskTimes } from "../disk-times.ts";
import { storageFault, systemCode } from "../storage-fault.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { readFully } from "./read-fully.ts";

/**
 * The size of each of two buffers that take turns: one is hashed and filled while the other is
 * written. Chunks arrive in 16 to 64 KiB, and a write costs about 35 µs whatever its size. A hundred
 * downloads at once have two buffers each.
 */
export const BUFFER_BYTES = 128 * 1024;

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

type State = "open" | "verified" | "mismatched" | "committed" | "ended";

/**
 * A `BlobWriter` whose bytes are in a file. At every moment, the file holds a prefix of what was
 * appended, so that a partial download can be resumed after a crash.
 */
export class DiskBlobWriter implements BlobWriter {
  readonly digest: Digest;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #host: WriterHost;
  readonly #hasher: Bun.CryptoHasher;
  #state: State = "open";
  #length: number;
  /** How many bytes are in the file. Those that follow are being written (`#write`), or in `#buffer`. */
  #writtenBytes: number;
  /** What complete writes have put into the file, and its hash state. A failed write is not in it. */
  #prefix: { length: number; hasher: Bun.CryptoHasher };
  #buffer: Buffer | undefined;
  #buffered = 0;
  #isWriting = false;
  /** The write in progress. It never rejects: its error is in `#failure`. */
  #writing: Promise<void> = Promise.resolve();
  #failure: Fault | undefined;
  /** The sync in progress, which never rejects either. */
  #syncing: Promise<void> | undefined;
  /** How many bytes the last sync was started for. */
  #syncedBytes: number;
  #activeReads = 0;
  #onLastReadDone: (() => void) | undefined;

  private constructor(
    digest: Digest,
    path: string,
    file: FileHandle,
    host: WriterHost,
    hasher: Bun.CryptoHasher,
    length: number,
  ) {
    this.digest = digest;
    this.#path = path;
    this.#file = file;
    this.#host = host;
    this.#hasher = hasher;
    this.#length = length;
    this.#writtenBytes = length;
    this.#syncedBytes = length;
    this.#prefix = { length, hasher: hasher.copy() };
  }

  /** Takes ownership of an open file, and hashes the partial download that it holds already. */
  static async open(
    digest: Digest,
    path: string,
    file: FileHandle,
    host: WriterHost,
  ): Promise<DiskBlobWriter> {
    const hasher = newHasher(digest);
    let length = 0;
    if ((await file.stat()).size > 0) {
      const buffer = host.buffers.take();
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, BUFFER_BYTES, length);
        if (bytesRead === 0) break;
        hasher.update(buffer.subarray(0, bytesRead));
        length += bytesRead;
      }
      host.buffers.give(buffer);
    }
    return new DiskBlobWriter(digest, path, file, host, hasher, length);
  }

  get length(): number {
    return this.#length;
  }

  /** Does nothing: files grow as they are written. `BoundedBlobStore` enforces the quota. */
  async reserve(): Promise<void> {}

  async append(chunk: Uint8Array): Promise<void> {
    this.#requireState("open", "append to");
    const release = this.#host.budget.hold(chunk.byteLength);
    try {
      await this.#append(chunk);
    } finally {
      release();
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure;
    let copied = 0;
    while (copied < chunk.byteLength) {
      if (this.#buffered === BUFFER_BYTES) {
        if (this.#isWriting) await this.#writing;
        else this.#startWrite();
        // The awaited write may have assigned it, which the compiler cannot see.
        const failure = this.#failure as Fault | undefined;
        if (failure) throw failure;
        continue;
      }
      const buffer = (this.#buffer ??= this.#host.buffers.take());
      const part = chunk.subarray(copied, copied + BUFFER_BYTES - this.#buffered);
      buffer.set(part, this.#buffered);
      this.#hasher.update(part);
      this.#buffered += part.byteLength;
      copied += part.byteLength;
    }
    this.#length += chunk.byteLength;
    if (this.#buffered === BUFFER_BYTES && !this.#isWriting) this.#startWrite();
  }

  async read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (first < 0 || end < first || end > this.#length) {
      throw new RangeError(`bytes ${first} to ${end} are not in 0 to ${this.#length}`);
    }
    if (this.#state === "committed") return this.#host.readStored(this.digest, first, end);
    if (this.#state === "ended") {
      throw new Fault({ kind: "cancelled", reason: `writing ${this.digest} was abandoned` });
    }
    this.#activeReads += 1;
    try {
      await this.#waitUntilWritten(end);
      return await readFully(this.#file, first, end);
    } catch (cause) {
      throw storageFault(`read ${this.#path}`, cause);
    } finally {
      this.#activeReads -= 1;
      if (this.#activeReads === 0) this.#onLastReadDone?.();
    }
  }

  prefix(): { length: number; hasher: Bun.CryptoHasher } {
    return { length: this.#prefix.length, hasher: this.#prefix.hasher.copy() };
  }

  verify(): boolean {
    if (this.#state === "open") {
      const isMatch = this.#hasher.digest("hex") === digestHex(this.digest);
      this.#state = isMatch ? "verified" : "mismatched";
    }
    return this.#state === "verified" || this.#state === "committed";
  }

  async commit(): Promise<StoredBlob> {
    this.#requireState("verified", "commit");
    try {
      await this.#waitUntilWritten(this.#length);
      await this.#syncing;
      // The kernel reports a write-back error only once, to the next sync: an earlier one may have it.
      if (this.#failure) throw this.#failure;
      await this.#host.sync(this.#file);
    } catch (cause) {
      throw storageFault(`write ${this.#path}`, cause);
    }
    const stored = await this.#host.publish(this.digest, this.#path, this.#length);
    this.#state = "committed";
    await this.#close();
    return stored;
  }

  async suspend(): Promise<void> {
    this.#requireUnfinished("suspend");
    if (this.#state === "mismatched" || this.#length === 0) return this.discard();
    this.#state = "ended";
    // If the last bytes cannot be written, the partial download is only shorter.
    await this.#waitUntilWritten(this.#length).catch(() => undefined);
    await this.#close();
  }

  async discard(): Promise<void> {
    this.#requireUnfinished("discard");
    this.#state = "ended";
    try {
      await unlink(this.#path);
    } catch (cause) {
      if (systemCode(cause) !== "ENOENT") throw storageFault(`remove ${this.#path}`, cause);
    } finally {
      await this.#close();
    }
  }

  /** Waits until the first `end` bytes are in the file; starts the write if none is in progress. */
  async #waitUntilWritten(end: number): Promise<void> {
    while (this.#writtenBytes < end) {
      if (this.#failure) throw this.#failure;
      if (!this.#isWriting) this.#startWrite();
      await this.#writing;
    }
  }

  #startWrite(): void {
    const buffer = this.#buffer;
    if (!buffer) return;
    const bytes = buffer.subarray(0, this.#buffered);
    // The hash of everything that was appended, which is exactly what is in the file after this write.
    // After `verify` the hasher cannot be copied any more, and no resume point is needed.
    const hasher = this.#state === "open" ? this.#hasher.copy() : undefined;
    this.#buffer = undefined;
    this.#buffered = 0;
    this.#isWriting = true;
    this.#writing = this.#write(bytes).finally(() => {
      if (hasher && !this.#failure) this.#prefix = { length: this.#writtenBytes, hasher };
      this.#host.buffers.give(buffer);
      this.#isWriting = false;
      if (this.#writtenBytes - this.#syncedBytes >= this.#host.syncBytes) this.#startSync();
    });
  }

  #startSync(): void {
    if (this.#syncing || this.#failure) return;
    this.#syncedBytes = this.#writtenBytes;
    const onSynced = (cause?: unknown): void => {
      if (cause) this.#failure ??= storageFault(`write ${this.#path}`, cause);
      this.#syncing = undefined;
    };
    this.#syncing = this.#host.sync(this.#file).then(() => onSynced(), onSynced);
  }

  async #write(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const remaining = bytes.byteLength - done;
        const { bytesWritten } = await this.#host.times.measure("writing", () =>
          this.#file.write(bytes, done, remaining, this.#writtenBytes),
        );
        done += bytesWritten;
        this.#writtenBytes += bytesWritten;
      }
    } catch (cause) {
      this.#failure = storageFault(`write ${this.#path}`, cause);
    }
  }

  /** Closes the file after its last use, since the kernel may give its descriptor to another file at once. */
  async #close(): Promise<void> {
    await this.#writing;
    await this.#syncing;
    if (this.#activeReads > 0) {
      const lastReadDone = Promise.withResolvers<void>();
      this.#onLastReadDone = lastReadDone.resolve;
      await lastReadDone.promise;
    }
    if (this.#buffer) this.#host.buffers.give(this.#buffer);
    this.#buffer = undefined;
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
