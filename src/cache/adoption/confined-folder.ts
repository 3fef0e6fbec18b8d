import { constants } from "node:fs";
import { type FileHandle, open, readdir, realpath } from "node:fs/promises";
import { sep } from "node:path";
import { FailedFiles } from "./failed-files.ts";
import { systemCode } from "../../store/storage-fault.ts";

/** How many links that lead outside are remembered, to count each once. */
const MAX_COUNTED = 10_000;

/**
 * A folder that is read without leaving it. What cannot be read is noted, and left out. Symbolic links are followed to places inside the folder only:
 * whoever writes to it could otherwise have any file of the machine read by root.
 */
export class ConfinedFolder {
  /** Without symbolic links. */
  readonly path: string;
  readonly failed = new FailedFiles();
  readonly #outside = new Set<string>();

  private constructor(path: string) {
    this.path = path;
  }

  static async open(path: string): Promise<ConfinedFolder> {
    return new ConfinedFolder(await realpath(path));
  }

  /** How many links that lead outside were met, and not followed. At most 10,000. */
  get outside(): number {
    return this.#outside.size;
  }

  /** Where a path leads, without symbolic links; `undefined` if to nothing, or out of the folder. */
  async resolve(path: string): Promise<string | undefined> {
    const real = await realpath(path).catch((error: unknown) => this.#note(path, error));
    if (real === undefined) return undefined;
    if (this.#contains(real)) return real;
    if (this.#outside.size < MAX_COUNTED) this.#outside.add(path);
    return undefined;
  }

  /** The entries of a folder; none if it does not exist, or is outside. */
  async names(path: string): Promise<string[]> {
    const real = await this.resolve(path);
    if (real === undefined) return [];
    return (await readdir(real).catch((error: unknown) => this.#note(path, error))) ?? [];
  }

  /**
   * Opens a file for reading; `undefined` if there is none, or it is outside. Anything but a file, such as
   * a pipe or a device, might block or have no end, and counts as none.
   */
  async file(path: string): Promise<FileHandle | undefined> {
    const real = await this.resolve(path);
    if (real === undefined) return undefined;
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const opening = open(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const file = await opening.catch((error: unknown) => this.#note(path, error));
    if (!file) return undefined;
    // What was opened decides: a folder on the way may have become a link since.
    const opened = await realpath(`/proc/self/fd/${file.fd}`).catch(() => real);
    if ((await file.stat()).isFile() && this.#contains(opened)) return file;
    await file.close();
    return undefined;
  }

  /** Any error, such as a missing permission, must not pass for a missing file or an empty folder. */
  #note(path: string, error: unknown): undefined {
    if (!isMissing(error)) this.failed.unreadable(path, error);
  }

  #contains(real: string): boolean {
    const prefix = this.path.endsWith(sep) ? this.path : `${this.path}${sep}`;
    return real === this.path || real.startsWith(prefix);
  }
}

/** ENXIO: a socket. */
function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ELOOP", "ENXIO"].includes(systemCode(error) ?? "");
}
