import { constants } from "node:fs";
import { type FileHandle, open, readdir, realpath } from "node:fs/promises";
import { sep } from "node:path";
import { systemCode } from "../../store/storage-fault.ts";

/** How many links that lead outside are remembered, to count each once. */
const MAX_COUNTED = 10_000;

/**
 * A folder that is read without leaving it. Symbolic links are followed to places inside the folder only:
 * whoever writes to it could otherwise have any file of the machine read by root.
 */
export class ConfinedFolder {
  /** Without symbolic links. */
  readonly path: string;
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
    let real: string;
    try {
      real = await realpath(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    if (this.#contains(real)) return real;
    if (this.#outside.size < MAX_COUNTED) this.#outside.add(path);
    return undefined;
  }

  /** The entries of a folder; none if it does not exist, or is outside. */
  async names(path: string): Promise<string[]> {
    const real = await this.resolve(path);
    if (real === undefined) return [];
    try {
      return await readdir(real);
    } catch (error) {
      // Any other error, such as a missing permission, must not pass for an empty folder.
      if (isMissing(error)) return [];
      throw error;
    }
  }

  /**
   * Opens a file for reading; `undefined` if there is none, or it is outside. Anything but a file, such as
   * a pipe or a device, might block or have no end, and counts as none.
   */
  async file(path: string): Promise<FileHandle | undefined> {
    const real = await this.resolve(path);
    if (real === undefined) return undefined;
    let file: FileHandle;
    try {
      const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
      file = await open(real, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      // ENXIO: a socket.
      if (isMissing(error) || systemCode(error) === "ENXIO") return undefined;
      throw error;
    }
    // What was opened decides: a folder on the way may have become a link since.
    const opened = await realpath(`/proc/self/fd/${file.fd}`).catch(() => real);
    if ((await file.stat()).isFile() && this.#contains(opened)) return file;
    await file.close();
    return undefined;
  }

  #contains(real: string): boolean {
    const prefix = this.path.endsWith(sep) ? this.path : `${this.path}${sep}`;
    return real === this.path || real.startsWith(prefix);
  }
}

function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ELOOP"].includes(systemCode(error) ?? "");
}
