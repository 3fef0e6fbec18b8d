import { type BigIntStats, closeSync, constants, existsSync, openSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../storage-fault.ts";

/** What an open store relies on. The empty name is that of the data directory itself. */
const WATCHED = ["", "lock", "metadata.db", "blobs", "fills", "sidecars"] as const;
export type Watched = (typeof WATCHED)[number];
/**
 * What nothing else keeps open: its inode would be given to the folder that takes its place. The files
 * are open in SQLite, and must not be opened here: closing them would release its locks (fcntl(2)).
 */
const FOLDERS: ReadonlySet<Watched> = new Set(["", "blobs", "fills", "sidecars"]);

/**
 * Notices files and folders of a data directory that somebody removed while they are in use, or that
 * another file system hides which was mounted there. What is open stays usable, so nothing else tells.
 */
export class DirectoryWatch {
  readonly #directory: string;
  /** Device and inode. What did not exist yet is not in it. */
  readonly #known = new Map<Watched, string>();
  readonly #open = new Map<Watched, number>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What is there now is what is in use. What the disk does not tell is noted by a later `vanished`. */
  note(...names: readonly Watched[]): void {
    for (const name of names) {
      this.#close(name);
      try {
        this.#note(name);
      } catch {
        this.#close(name);
      }
    }
  }

  #note(name: Watched): void {
    const path = this.#path(name);
    if (FOLDERS.has(name) && existsSync(path)) {
      this.#open.set(name, openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
    }
    const identity = identityOf(statSync(path, { bigint: true, throwIfNoEntry: false }));
    if (identity !== undefined) this.#known.set(name, identity);
  }

  /** What is in use, but no longer there. */
  async vanished(): Promise<readonly Watched[]> {
    const found: Watched[] = [];
    for (const name of WATCHED) {
      const now = await this.#look(name);
      if (now === "unknown") continue;
      const known = this.#known.get(name);
      if (known === undefined && now) this.note(name);
      else if (known !== identityOf(now)) found.push(name);
    }
    return found;
  }

  /** A disk that fails for a moment does not say that something is missing. */
  async #look(name: Watched): Promise<BigIntStats | "unknown" | undefined> {
    try {
      return await stat(this.#path(name), { bigint: true });
    } catch (cause) {
      const code = systemCode(cause);
      return code === "ENOENT" || code === "ENOTDIR" ? undefined : "unknown";
    }
  }

  /** Whether something else has its name. */
  isReplaced(name: Watched): boolean {
    const now = statSync(this.#path(name), { bigint: true, throwIfNoEntry: false });
    return now !== undefined && this.#known.get(name) !== identityOf(now);
  }

  close(): void {
    for (const name of WATCHED) this.#close(name);
  }

  #close(name: Watched): void {
    this.#known.delete(name);
    const descriptor = this.#open.get(name);
    this.#open.delete(name);
    if (descriptor !== undefined) closeSync(descriptor);
  }

  #path(name: Watched): string {
    return join(this.#directory, name);
  }
}

function identityOf(
  stats: { readonly dev: bigint; readonly ino: bigint } | undefined,
): string | undefined {
  return stats && `${stats.dev}:${stats.ino}`;
}
