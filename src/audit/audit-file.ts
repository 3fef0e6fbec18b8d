import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rename, stat } from "node:fs/promises";
import path from "node:path";
import type { AuditSettings } from "../config/operator/audit-settings.ts";

/** How often lines are written, in milliseconds: a crash loses those of the last interval. */
const INTERVAL_MS = 1000;
/** Characters that wait for a disk that does not write. Of more, lines are dropped and counted. */
const MAX_PENDING = 4 * 1024 * 1024;
/** Characters that are written at once. */
const ENOUGH = 256 * 1024;

/** Read as well: the end of the file tells whether its last line is whole. */
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
const LINE_BREAK = 0x0a;

export type AuditFileSettings = Required<AuditSettings>;

/**
 * Lines in a file, which is replaced by a new one as it has its size: `audit.jsonl`, before it `audit.jsonl.1`.
 * If somebody else moves the file away, as logrotate does, the next lines go into a new one.
 */
export class AuditFile implements AsyncDisposable {
  readonly #settings: AuditFileSettings;
  readonly #onError: (error: unknown) => void;
  readonly #timer: Timer;
  #lines: string[] = [];
  #pending = 0;
  #file: FileHandle | undefined;
  #dropped = 0;
  #flushing: Promise<void> | undefined;

  /** @param onError called each time that lines cannot be written; they are tried again */
  constructor(settings: AuditFileSettings, onError: (error: unknown) => void) {
    this.#settings = settings;
    this.#onError = onError;
    this.#timer = setInterval(() => void this.flush(), INTERVAL_MS).unref();
  }

  /** Lines that were lost since the disk does not write. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param line with its line break */
  write(line: string): void {
    if (this.#pending + line.length > MAX_PENDING) {
      this.#dropped += 1;
      return;
    }
    this.#lines.push(line);
    this.#pending += line.length;
    if (this.#pending >= ENOUGH) void this.flush();
  }

  /** Resolves once the lines so far are in the file, or cannot be. Never rejects. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush()
      .catch((error: unknown) => this.#onError(error))
      .finally(() => {
        this.#flushing = undefined;
      });
    return this.#flushing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing;
    await this.flush();
    await this.#file?.close();
  }

  async #flush(): Promise<void> {
    while (this.#lines.length > 0) {
      const file = await this.#current();
      const count = this.#countOf(ENOUGH);
      const lines = this.#lines.slice(0, count).join("");
      const text = Buffer.from((await isTorn(file)) ? `\n${lines}` : lines);
      let written = 0;
      try {
        while (written < text.byteLength) {
          written += (await file.write(text, written)).bytesWritten;
        }
      } catch (error) {
        // What is written already is written again, in a line of its own.
        if (written > 0) await takeBack(file, written).catch(() => {});
        throw error;
      }
      this.#pending -= this.#lines.slice(0, count).reduce((sum, { length }) => sum + length, 0);
      this.#lines = this.#lines.slice(count);
      // Others may have emptied it meanwhile, as logrotate's copytruncate does.
      if ((await file.stat()).size >= this.#settings.maxSize) await this.#rotate();
    }
  }

  /** How many of the lines have about so many characters. */
  #countOf(characters: number): number {
    let sum = 0;
    const end = this.#lines.findIndex(({ length }) => (sum += length) >= characters);
    return end === -1 ? this.#lines.length : end + 1;
  }

  /** The open file, if it still has its name. */
  async #current(): Promise<FileHandle> {
    const { file: name } = this.#settings;
    if (this.#file) {
      const [own, named] = await Promise.all([
        this.#file.stat(),
        stat(name).catch(() => undefined),
      ]);
      if (named?.ino === own.ino && named.dev === own.dev) return this.#file;
      await this.#close();
    }
    await mkdir(path.dirname(name), { recursive: true, mode: 0o750 });
    this.#file = await open(name, FLAGS, 0o640);
    return this.#file;
  }

  async #rotate(): Promise<void> {
    const { file: name, keep } = this.#settings;
    await this.#close();
    for (let number = keep; number > 0; number -= 1) {
      const from = number === 1 ? name : `${name}.${number - 1}`;
      await rename(from, `${name}.${number}`).catch((error: unknown) => {
        // There were not so many yet.
        if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      });
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** Whether its last line has no end, after a crash or on a disk that was full. */
async function isTorn(file: FileHandle): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return false;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] !== LINE_BREAK;
}

/** Removes the last bytes. */
async function takeBack(file: FileHandle, bytes: number): Promise<void> {
  const { size } = await file.stat();
  await file.truncate(Math.max(0, size - bytes));
}
