import type { FileHandle } from "node:fs/promises";
import { byteTurns } from "../../event-loop/byte-turns.ts";
import type { Fault } from "../../oci/fault.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { DiskTimes } from "../disk-times.ts";
import { storageFault } from "../storage-fault.ts";
import type { BufferPool } from "../../process/buffer-pool.ts";

/**
 * The size of each of two buffers that take turns: one is hashed and filled while the other is
 * written. Chunks arrive in 16 to 64 KiB, and a write costs about 35 µs whatever its size. A hundred
 * downloads at once have two buffers each.
 */
export const BUFFER_BYTES = 128 * 1024;

export interface AppendedBytesOptions {
  readonly file: FileHandle;
  /** For messages. */
  readonly path: string;
  /** Of buffers of `BUFFER_BYTES`. */
  readonly buffers: BufferPool;
  /** For bytes that were received and are not written yet. */
  readonly budget: ByteBudget;
  readonly times: DiskTimes;
  /** Called when bytes were put into the file. */
  readonly onWritten: (first: number, end: number) => void;
}

/** The beginning of a blob, hashed, and written to its file in order. */
export class AppendedBytes {
  readonly #options: AppendedBytesOptions;
  readonly #hasher: Bun.CryptoHasher;
  #isHashing = true;
  #length: number;
  /** How many bytes are in the file. Those that follow are being written (`#write`), or in `#buffer`. */
  #writtenBytes: number;
  /** What complete writes have put into the file, and its hash state. A failed write is not in it. */
  #prefix: { length: number; hasher: Bun.CryptoHasher };
  #buffer: Buffer | undefined;
  #buffered = 0;
  #isWriting = false;
  /** The write in progress. It never rejects: its error is in `failure`. */
  #writing: Promise<void> = Promise.resolve();
  #failure: Fault | undefined;

  /** @param hasher of what the file holds already, which are `length` bytes */
  constructor(options: AppendedBytesOptions, hasher: Bun.CryptoHasher, length: number) {
    this.#options = options;
    this.#hasher = hasher;
    this.#length = length;
    this.#writtenBytes = length;
    this.#prefix = { length, hasher: hasher.copy() };
  }

  /** How many bytes were appended. */
  get length(): number {
    return this.#length;
  }

  /** How many of them are in the file. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Why the file cannot be written. */
  get failure(): Fault | undefined {
    return this.#failure;
  }

  /** The file cannot be written: nothing is appended any more. */
  fail(cause: unknown): void {
    this.#failure ??= storageFault(`write ${this.#options.path}`, cause);
  }

  /** Appends the next bytes. They may be reused once this has resolved. */
  async append(chunk: Uint8Array): Promise<void> {
    const release = this.#options.budget.hold(chunk.byteLength);
    try {
      await this.#append(chunk);
    } finally {
      release();
    }
  }

  /** Appends what is in the file already, up to `end`. */
  async absorb(end: number): Promise<void> {
    const { file, path, buffers } = this.#options;
    await this.waitUntilWritten(this.#length);
    const buffer = buffers.take();
    try {
      while (this.#length < end) {
        const wanted = Math.min(buffer.byteLength, end - this.#length);
        await byteTurns.begin();
        const { bytesRead } = await file.read(buffer, 0, wanted, this.#length);
        if (bytesRead === 0) throw new Error(`the file ends at byte ${this.#length}`);
        this.#hasher.update(buffer.subarray(0, bytesRead));
        this.#length += bytesRead;
        this.#writtenBytes = this.#length;
      }
    } catch (cause) {
      throw storageFault(`read ${path}`, cause);
    } finally {
      buffers.give(buffer);
    }
    this.#prefix = { length: this.#length, hasher: this.#hasher.copy() };
  }

  /** See `BlobWriter`. */
  get resumable(): number {
    return this.#prefix.length;
  }

  /** See `BlobWriter`. */
  prefix(): { readonly length: number; readonly hasher: Bun.CryptoHasher } {
    return { length: this.#prefix.length, hasher: this.#prefix.hasher.copy() };
  }

  /** The hash of what was appended, in hexadecimal. Nothing is appended after this. */
  digest(): string {
    this.#isHashing = false;
    return this.#hasher.digest("hex");
  }

  /**
   * Waits until the first `end` bytes are in the file; starts the write if none is in progress.
   *
   * @throws Fault of kind `no-space` or `storage`
   */
  async waitUntilWritten(end: number): Promise<void> {
    while (this.#writtenBytes < end) {
      if (this.#failure) throw this.#failure;
      if (!this.#isWriting) this.#startWrite();
      await this.#writing;
    }
  }

  /** Ends its use of the file. */
  async close(): Promise<void> {
    await this.#writing;
    if (this.#buffer) this.#options.buffers.give(this.#buffer);
    this.#buffer = undefined;
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
      const buffer = (this.#buffer ??= this.#options.buffers.take());
      const part = chunk.subarray(copied, copied + BUFFER_BYTES - this.#buffered);
      buffer.set(part, this.#buffered);
      // Of the copy: the chunk may be lent from memory that others write to, and the hash has to be of the file.
      this.#hasher.update(buffer.subarray(this.#buffered, this.#buffered + part.byteLength));
      this.#buffered += part.byteLength;
      copied += part.byteLength;
    }
    this.#length += chunk.byteLength;
    if (this.#buffered === BUFFER_BYTES && !this.#isWriting) this.#startWrite();
  }

  #startWrite(): void {
    const buffer = this.#buffer;
    if (!buffer) return;
    const bytes = buffer.subarray(0, this.#buffered);
    // The hash of everything that was appended, which is exactly what is in the file after this write.
    // After `digest` the hasher cannot be copied any more, and no resume point is needed.
    const hasher = this.#isHashing ? this.#hasher.copy() : undefined;
    this.#buffer = undefined;
    this.#buffered = 0;
    this.#isWriting = true;
    this.#writing = this.#write(bytes).finally(() => {
      if (hasher && !this.#failure) this.#prefix = { length: this.#writtenBytes, hasher };
      this.#options.buffers.give(buffer);
      this.#isWriting = false;
    });
  }

  async #write(bytes: Buffer): Promise<void> {
    const { file, times, onWritten } = this.#options;
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const first = this.#writtenBytes;
        const remaining = bytes.byteLength - done;
        const { bytesWritten } = await times.measure("writing", () =>
          file.write(bytes, done, remaining, first),
        );
        done += bytesWritten;
        this.#writtenBytes += bytesWritten;
        onWritten(first, this.#writtenBytes);
      }
    } catch (cause) {
      this.fail(cause);
    }
  }
}
