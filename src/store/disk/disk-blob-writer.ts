import type { FileHandle } from "node:fs/promises";
import { unlink } from "node:fs/promises";
import type { Digest } from "../../oci/digest.ts";
import { digestHex, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobWriter, StoredBlob } from "../blob-store.ts";
import { storageFault, systemCode } from "../storage-fault.ts";

/**
 * Bytes that are gathered for one write. Chunks arrive in 16 to 64 KiB, and a write costs about
 * 35 µs whatever its size; two buffers take turns, so that the next one is hashed and filled while
 * the last one is written.
 */
const BUFFER_BYTES = 256 * 1024;

/** How much, in bytes, is written before it is synced: the end of a content must not wait for all of it. */
const SYNC_BYTES = 16 * 1024 * 1024;

/** How much of a kept file is hashed before other work gets its turn. */
const REHASH_BYTES = 1024 * 1024;

/** What a draft needs of the store that it belongs to. */
export interface WriterHost {
  /** Moves the finished file to where it is visible, durably. */
  publish(digest: Digest, path: string, size: number): Promise<StoredBlob>;
  /** Bytes of a content that was published. */
  readStored(digest: Digest, first: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The digest may have a new draft from now on. */
  closed(digest: Digest): void;
}

type State = "open" | "verified" | "refused" | "committed" | "ended";

/** A draft in a file. Its bytes on disk are at every moment a beginning of the content. */
export class DiskBlobWriter implements BlobWriter {
  readonly digest: Digest;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #host: WriterHost;
  readonly #hasher: Bun.CryptoHasher;
  #state: State = "open";
  #length: number;
  /** Bytes of the file that are written; what follows is in `#writing`, then in `#buffer`. */
  #writtenBytes: number;
  /** What is written, up to a write that failed in its middle, and the hash of that. */
  #prefix: { length: number; hasher: Bun.CryptoHasher };
  #buffer: Buffer | undefined;
  #spare: Buffer | undefined;
  #buffered = 0;
  #isWriting = false;
  /** The write under way. It never rejects: `#failure` has what went wrong. */
  #writing: Promise<void> = Promise.resolve();
  #failure: Fault | undefined;
  /** The sync under way, which never rejects either, and up to where the last one was to go. */
  #syncing: Promise<void> | undefined;
  #syncedBytes: number;
  #activeReads = 0;
  #onLastReadDone: (() => void) | undefined;

  private constructor(
    digest: Digest,
    path: string,
    file: FileHandle,
    home: WriterHost,
    hasher: Bun.CryptoHasher,
    length: number,
  ) {
    this.digest = digest;
    this.#path = path;
    this.#file = file;
    this.#host = home;
    this.#hasher = hasher;
    this.#length = length;
    this.#writtenBytes = length;
    this.#syncedBytes = length;
    this.#prefix = { length, hasher: hasher.copy() };
  }

  /** Takes over an open file and hashes what it already holds. */
  static async open(
    digest: Digest,
    path: string,
    file: FileHandle,
    home: WriterHost,
  ): Promise<DiskBlobWriter> {
    const hasher = newHasher(digest);
    let length = 0;
    if ((await file.stat()).size > 0) {
      const piece = Buffer.allocUnsafeSlow(REHASH_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(piece, 0, REHASH_BYTES, length);
        if (bytesRead === 0) break;
        hasher.update(piece.subarray(0, bytesRead));
        length += bytesRead;
      }
    }
    return new DiskBlobWriter(digest, path, file, home, hasher, length);
  }

  get length(): number {
    return this.#length;
  }

  /** Files grow as they are written; who bounds the store counts what was told. */
  async reserve(): Promise<void> {}

  async append(chunk: Uint8Array): Promise<void> {
    this.#requireState("open", "append to");
    if (this.#failure) throw this.#failure;
    let taken = 0;
    while (taken < chunk.byteLength) {
      if (this.#buffered === BUFFER_BYTES) {
        if (this.#isWriting) await this.#writing;
        else this.#startWrite();
        // Assigned by the write that was just awaited, which the compiler cannot see.
        const failure = this.#failure as Fault | undefined;
        if (failure) throw failure;
        continue;
      }
      const buffer = (this.#buffer ??= this.#takeSpare());
      const part = chunk.subarray(taken, taken + BUFFER_BYTES - this.#buffered);
      buffer.set(part, this.#buffered);
      this.#hasher.update(part);
      this.#buffered += part.byteLength;
      taken += part.byteLength;
    }
    this.#length += chunk.byteLength;
    if (this.#buffered === BUFFER_BYTES && !this.#isWriting) this.#startWrite();
  }

  async read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (first < 0 || end < first || end > this.#length) {
      throw new RangeError(`bytes ${first} to ${end} of a draft of ${this.#length}`);
    }
    if (this.#state === "committed") return this.#host.readStored(this.digest, first, end);
    if (this.#state === "ended") {
      throw new Fault({ kind: "cancelled", reason: `writing ${this.digest} was given up` });
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
      const agrees = this.#hasher.digest("hex") === digestHex(this.digest);
      this.#state = agrees ? "verified" : "refused";
    }
    return this.#state === "verified" || this.#state === "committed";
  }

  async commit(): Promise<StoredBlob> {
    this.#requireState("verified", "commit");
    try {
      await this.#waitUntilWritten(this.#length);
      await this.#syncing;
      // The kernel tells of a write that failed later only once: to the sync that came next.
      if (this.#failure) throw this.#failure;
      await this.#file.datasync();
    } catch (cause) {
      throw storageFault(`write ${this.#path}`, cause);
    }
    const stored = await this.#host.publish(this.digest, this.#path, this.#length);
    this.#state = "committed";
    await this.#close();
    return stored;
  }

  async suspend(): Promise<void> {
    this.#requireUnfinished("keep");
    if (this.#state === "refused" || this.#length === 0) return this.discard();
    this.#state = "ended";
    // Where the last bytes cannot be written, the file is a shorter beginning and as good.
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

  /** Waits until the first `end` bytes are in the file, and has them written where nobody does. */
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
    // Of all that was appended, which is no more than what this write brings to the file. A draft
    // that was verified is whole: its hasher has ended, and nobody goes on from it.
    const hasher = this.#state === "open" ? this.#hasher.copy() : undefined;
    this.#buffer = undefined;
    this.#buffered = 0;
    this.#isWriting = true;
    this.#writing = this.#write(bytes).finally(() => {
      if (hasher && !this.#failure) this.#prefix = { length: this.#writtenBytes, hasher };
      this.#spare = buffer;
      this.#isWriting = false;
      if (this.#writtenBytes - this.#syncedBytes >= SYNC_BYTES) this.#startSync();
    });
  }

  #startSync(): void {
    if (this.#syncing || this.#failure) return;
    this.#syncedBytes = this.#writtenBytes;
    const ended = (cause?: unknown): void => {
      if (cause) this.#failure ??= storageFault(`write ${this.#path}`, cause);
      this.#syncing = undefined;
    };
    this.#syncing = this.#file.datasync().then(() => ended(), ended);
  }

  /** A buffer that is nobody's: one that is written and filled at once would spoil the content. */
  #takeSpare(): Buffer {
    const spare = this.#spare ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#spare = undefined;
    return spare;
  }

  async #write(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const rest = bytes.byteLength - done;
        const { bytesWritten } = await this.#file.write(bytes, done, rest, this.#writtenBytes);
        done += bytesWritten;
        this.#writtenBytes += bytesWritten;
      }
    } catch (cause) {
      this.#failure = storageFault(`write ${this.#path}`, cause);
    }
  }

  /** Closes the file after the last of those who use it: a number that is closed may be another file's next. */
  async #close(): Promise<void> {
    await this.#writing;
    await this.#syncing;
    if (this.#activeReads > 0) {
      const unread = Promise.withResolvers<void>();
      this.#onLastReadDone = unread.resolve;
      await unread.promise;
    }
    this.#buffer = undefined;
    this.#spare = undefined;
    // What had to be durable was synced before; a close that fails takes nothing back.
    await this.#file.close().catch(() => undefined);
    this.#host.closed(this.digest);
  }

  #requireState(state: State, doing: string): void {
    if (this.#state === state) return;
    throw new Error(`cannot ${doing} the draft of ${this.digest}: it is ${this.#state}`);
  }

  #requireUnfinished(doing: string): void {
    if (this.#state !== "committed" && this.#state !== "ended") return;
    throw new Error(`cannot ${doing} the draft of ${this.digest}: it is ${this.#state}`);
  }
}

async function readFully(
  file: FileHandle,
  first: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - first);
  for (let done = 0; done < bytes.byteLength;) {
    const rest = bytes.byteLength - done;
    const { bytesRead } = await file.read(bytes, done, rest, first + done);
    if (bytesRead === 0) throw new Error(`it ends at ${first + done}`);
    done += bytesRead;
  }
  return bytes;
}
