import type { FileHandle } from "node:fs/promises";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { DiskTimes } from "../disk-times.ts";
import { ExtentMap } from "../extents.ts";
import type { ExtentJournal } from "./extent-journal.ts";

export interface AheadBytesOptions {
  readonly file: FileHandle;
  readonly journal: ExtentJournal;
  readonly budget: ByteBudget;
  readonly times: DiskTimes;
  /** Called when bytes are in the file. */
  readonly onWritten: (bytes: number) => void;
}

/** What was written to a partial file ahead of its hashed beginning, by several transfers at once. */
export class AheadBytes {
  readonly extents: ExtentMap;
  readonly #options: AheadBytesOptions;
  readonly #writes = new Set<Promise<void>>();
  #begun: Promise<void> | undefined;

  /** @param known what an earlier writer left, if the file is sparse */
  constructor(options: AheadBytesOptions, known: ExtentMap | undefined) {
    this.#options = options;
    this.extents = known ?? new ExtentMap();
    this.#begun = known && Promise.resolve();
  }

  /**
   * Writes bytes at their place.
   *
   * @param prefix how many bytes from the first one on are in the file
   */
  async write(first: number, chunks: readonly Uint8Array[], prefix: number): Promise<void> {
    const writing = this.#write(first, chunks, prefix);
    const settled = writing.catch(() => {});
    this.#writes.add(settled);
    void settled.finally(() => this.#writes.delete(settled));
    await writing;
  }

  /** The hashed beginning has grown up to `length`. */
  prefixGrew(from: number, length: number): void {
    this.extents.removeBefore(length);
    if (this.isJournaled && length > from)
      this.#options.journal.record({ first: from, end: length });
  }

  /** Whether the file is sparse, and has a journal. */
  get isJournaled(): boolean {
    return this.#begun !== undefined;
  }

  /** Resolves once no write is in progress. */
  async idle(): Promise<void> {
    await Promise.all(this.#writes);
  }

  async #write(first: number, chunks: readonly Uint8Array[], prefix: number): Promise<void> {
    const { budget, times, file, journal, onWritten } = this.#options;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    // The file must not be sparse before that is known.
    this.#begun ??= journal.begin(prefix);
    await this.#begun;
    const release = budget.hold(bytes);
    try {
      for (let rest = chunks, done = 0; done < bytes;) {
        const { bytesWritten } = await times.measure("writing", () =>
          file.writev(rest, first + done),
        );
        done += bytesWritten;
        rest = without(rest, bytesWritten);
      }
    } finally {
      release();
    }
    this.extents.add(first, first + bytes);
    journal.record({ first, end: first + bytes });
    onWritten(bytes);
  }
}

/** Chunks without their first bytes. */
function without(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let left = bytes;
  return chunks.flatMap((chunk) => {
    const skipped = Math.min(left, chunk.byteLength);
    left -= skipped;
    return skipped === chunk.byteLength ? [] : [chunk.subarray(skipped)];
  });
}
