import { freeBytes } from "../../process/free-bytes.ts";
import type { BlobStore, BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import { ExtentMap } from "../../store/extents.ts";
import { FillMemory } from "./fill-memory.ts";
import { BLOCK_BYTES, ReadCache, type ReadFile } from "./read-cache.ts";
import { TailBuffer } from "./tail-buffer.ts";

/** How much is compared at a time, in bytes. */
const COMPARED_BYTES = 128 * 1024;

/** What a fill needs of the store. */
export type FillStore = Pick<BlobStore, "open" | "readFailed" | "writer">;

/** Reads bytes of a stored blob: `first` inclusive, `end` exclusive. The store learns of a failure. */
export async function readStored(
  { digest, bytes }: StoredBlob,
  first: number,
  end: number,
  store: Pick<BlobStore, "readFailed">,
): Promise<Uint8Array> {
  const read = await bytes
    .slice(first, end)
    .bytes()
    .catch((cause: unknown) => {
      store.readFailed(digest, cause, first);
      throw cause;
    });
  if (read.byteLength === end - first) return read;
  throw new Error(`the file of ${digest} ends at byte ${first + read.byteLength}`);
}

/** What followers can read of a fill: its latest bytes from memory, and the others from its file. */
export class ReadableBytes {
  readonly #readFile: ReadFile;
  readonly #memory: FillMemory;
  readonly #tail: TailBuffer;
  #cache: ReadCache;
  /** Bytes that can be read from the file. Finite only after a failed write; the rest is buffered. */
  #writtenBytes = Infinity;
  #attempt = 0;
  #handed = 0;
  /** Bytes of this attempt ahead of those that any follower may have received. */
  #handedAhead = new ExtentMap();

  /**
   * @param readFile reads bytes of the file
   * @param memory that of all fills
   */
  constructor(readFile: ReadFile, memory: FillMemory = new FillMemory()) {
    this.#readFile = readFile;
    this.#memory = memory;
    this.#tail = new TailBuffer(memory.tails);
    this.#cache = new ReadCache(readFile, memory.recentBlocks);
  }

  /** How often the bytes turned out to be wrong. */
  get attempt(): number {
    return this.#attempt;
  }

  /** How many bytes of this attempt, from the first one on, any follower may have received. */
  get handed(): number {
    return this.#handed;
  }

  /** The buffer of the latest bytes. */
  get tail(): TailBuffer {
    return this.#tail;
  }

  /** A write has failed: only this many bytes are in the file. */
  limitFile(bytes: number): void {
    this.#writtenBytes = bytes;
  }

  /** The bytes so far are wrong: those that come next are of another attempt. */
  discard(): void {
    this.#attempt += 1;
    this.#forget();
  }

  /**
   * What is read next are bytes of a stored blob.
   *
   * @returns whether these continue what followers may have received of a writer's bytes
   */
  async goOnFrom(blob: StoredBlob, writer: BlobWriter, size: number): Promise<boolean> {
    const isSame = size === blob.size && (await this.#areOf(blob, writer));
    if (isSame) this.#forget();
    else this.discard();
    return isSame;
  }

  /** Whatever is in memory is not verified. */
  #forget(): void {
    this.#handed = 0;
    this.#handedAhead = new ExtentMap();
    this.#tail.clear();
    this.#cache = new ReadCache(this.#readFile, this.#memory.recentBlocks);
  }

  /** Whether what followers may have received of a writer's bytes are the first ones of a stored blob. */
  async #areOf(blob: StoredBlob, writer: BlobWriter): Promise<boolean> {
    const handed = new ExtentMap(this.#handedAhead);
    handed.add(0, this.#handed);
    for (const [first, end] of blocksOf(handed)) {
      const blocks = [writer.read(first, end), blob.bytes.slice(first, end).bytes()] as const;
      // What cannot be read is not known to be equal.
      const [received, stored] = await Promise.all(blocks).catch(() => []);
      if (!received || !stored || Buffer.compare(received, stored) !== 0) return false;
      freeBytes(received);
      freeBytes(stored);
    }
    return true;
  }

  /** At least one byte from `position` on, and at most a block. `into` is as that of `read`. */
  readAhead(position: number, end: number, into?: () => Uint8Array): Promise<Uint8Array> {
    const memory = into?.();
    const blockEnd = Math.min(end, position + (memory?.byteLength ?? BLOCK_BYTES));
    this.#handedAhead.add(position, blockEnd);
    return this.#readFile(position, blockEnd, memory);
  }

  /**
   * At least one byte from `position` on, and at most a block.
   *
   * @param into gives memory for them that nobody uses any more
   */
  async read(position: number, available: number, into?: () => Uint8Array): Promise<Uint8Array> {
    const buffered = this.#tail.read(position, available);
    const end = Math.min(available, position + (buffered?.byteLength ?? BLOCK_BYTES));
    this.#handed = Math.max(this.#handed, end);
    if (!buffered) return this.#cache.read(position, Math.min(available, this.#writtenBytes), into);
    if (!into) return new Uint8Array(buffered);
    const memory = into();
    memory.set(buffered);
    return memory.subarray(0, buffered.byteLength);
  }

  /** The latest bytes are in the file as well, or are not wanted any more. */
  clearTail(): void {
    this.#tail.clear();
  }
}

function* blocksOf(extents: ExtentMap): Generator<readonly [first: number, end: number]> {
  for (const extent of extents) {
    for (let { first } = extent; first < extent.end; first += COMPARED_BYTES) {
      yield [first, Math.min(extent.end, first + COMPARED_BYTES)];
    }
  }
}
