import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { type Extent, ExtentMap } from "../extents.ts";
import { removeFile } from "../remove-file.ts";
import { systemCode } from "../storage-fault.ts";

/** The file of the journal beside that of a partial download. */
export const JOURNAL_SUFFIX = ".extents";

/** So many bytes in a row are recorded at once: a crash loses no more of each transfer. */
const RECORDED_BYTES = 256 * 1024;
/** Fewer are recorded after this time, in milliseconds: a short gap between two parts is never more. */
const RECORDED_AFTER_MS = 200;

/** After so many lines, by a large blob or one that takes hours, less is recorded at a time. */
const MANY_LINES = 32_768;
const MANY_RECORDED_BYTES = 1024 * 1024;
const MAX_PENDING_BYTES = 16 * MANY_RECORDED_BYTES;

/** A larger file is none that was written here, in bytes: this is enough for a blob of 100 GB. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Nothing that was downloaded here is in more pieces. */
const MAX_EXTENTS = 8192;

/** How many lines are read before others have a turn. */
const LINES_AT_ONCE = 2000;

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

const LINE = /^(\d{1,15}) (\d{1,15})$/;

/**
 * Which bytes of a sparse partial file are there, for whoever resumes it after a crash: a list that only
 * grows, a line `first end` for each extent. A line is written once its bytes are in the file. The last one
 * may be cut off. A power failure may lose bytes that are listed: the blob's digest tells.
 */
export class ExtentJournal {
  readonly #path: string;
  #pending = new ExtentMap();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lines = 0;
  /** Lines that are not written yet. */
  #due = "";
  #isRemoved = false;
  #file: FileHandle | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @param path of the partial file */
  constructor(path: string) {
    this.#path = `${path}${JOURNAL_SUFFIX}`;
  }

  /**
   * What an earlier process has recorded, within the file.
   *
   * @param size of the partial file, in bytes
   * @returns `undefined` if the file is not sparse
   * @throws if it cannot be known what is there
   */
  async read(size: number): Promise<ExtentMap | undefined> {
    const text = await this.#text();
    if (text === undefined) return undefined;
    const map = new ExtentMap();
    for (const [index, line] of text.split("\n").slice(0, -1).entries()) {
      this.#lines += 1;
      const [, first, end] = LINE.exec(line) ?? [];
      map.add(Number(first ?? 0), Math.min(size, Number(end ?? 0)));
      if (map.count > MAX_EXTENTS) throw new Error(`${this.#path} is not a journal`);
      if (index % LINES_AT_ONCE === LINES_AT_ONCE - 1) await setImmediate();
    }
    return map;
  }

  /**
   * Begins the journal: whoever finds the file knows from now on that it is sparse.
   *
   * @param prefix how many bytes from the first one on are in the file
   */
  begin(prefix: number): Promise<void> {
    const begun = this.#writing.then(() => this.#append(`0 ${prefix}\n`));
    this.#writing = begun.catch(() => {});
    return begun;
  }

  /** Bytes are in the file now. They are recorded soon, together with others. */
  record({ first, end }: Extent): void {
    this.#pending.add(first, end);
    const areMany = this.#lines >= MANY_LINES;
    const isFull = this.#pending.bytes >= MAX_PENDING_BYTES;
    const bytes = areMany ? MANY_RECORDED_BYTES : RECORDED_BYTES;
    this.#flush((extent) => isFull || extent.end - extent.first >= bytes);
    if (areMany || this.#pending.count === 0) return;
    this.#timer ??= setTimeout(() => this.#flush(() => true), RECORDED_AFTER_MS).unref();
  }

  /** Writes what is left, and closes the file. Never rejects: then less is resumed. */
  async close(): Promise<void> {
    this.#flush(() => true);
    this.#stopTimer();
    await this.#writing;
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
  }

  /** Nothing is written any more: a write in progress would leave a journal without its file. */
  async remove(): Promise<void> {
    this.#isRemoved = true;
    await this.close();
    await removeFile(this.#path);
  }

  async #text(): Promise<string | undefined> {
    let file: FileHandle;
    try {
      file = await open(this.#path, READ);
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return undefined;
      throw cause;
    }
    try {
      const stats = await file.stat();
      if (!stats.isFile() || stats.nlink > 1 || stats.size > MAX_BYTES) {
        throw new Error(`${this.#path} is not a journal`);
      }
      return await file.readFile("latin1");
    } finally {
      await file.close();
    }
  }

  #flush(isDue: (extent: Extent) => boolean): void {
    const due = [...this.#pending].filter(isDue);
    if (due.length === 0) return;
    this.#pending = new ExtentMap([...this.#pending].filter((extent) => !isDue(extent)));
    if (this.#pending.count === 0) this.#stopTimer();
    this.#lines += due.length;
    this.#due += due.map(({ first, end }) => `${first} ${end}\n`).join("");
    this.#writing = this.#writing.then(() => this.#writeDue());
  }

  /** All at once: on a slow disk, a write for each would be further and further behind the data. */
  async #writeDue(): Promise<void> {
    const lines = this.#due;
    this.#due = "";
    // The disk will tell the same of the data. Without the lines, their bytes are fetched again.
    if (lines !== "") await this.#append(lines).catch(() => {});
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #append(lines: string): Promise<void> {
    if (this.#isRemoved) return;
    this.#file ??= await open(this.#path, APPEND, 0o600);
    await this.#file.appendFile(lines);
  }
}
