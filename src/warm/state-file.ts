import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { removeFile } from "../store/remove-file.ts";
import { storageFault } from "../store/storage-fault.ts";

/** A small file of the data directory, with JSON that outlasts a restart. */
export class StateFile {
  readonly #path: string;
  #written: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** `undefined` if there is none, or none that can be read. */
  read(): unknown {
    try {
      return JSON.parse(readFileSync(this.#path, "utf8"));
    } catch {
      return undefined;
    }
  }

  /**
   * Writes one value after the other.
   *
   * @param value what is to be written, as it is when its turn has come
   * @throws Fault if it cannot be written
   */
  write(value: () => unknown): Promise<void> {
    this.#written = this.#written.catch(() => {}).then(() => this.#write(value()));
    return this.#written;
  }

  /** Beside the file first, so that a crash leaves one that is whole. */
  async #write(value: unknown): Promise<void> {
    const next = `${this.#path}.new`;
    try {
      await removeFile(next);
      // Exclusive: as root, it must not be written through somebody's link.
      const options = { mode: 0o600, flag: "wx", flush: true };
      await writeFile(next, `${JSON.stringify(value)}\n`, options);
      await rename(next, this.#path);
    } catch (error) {
      throw storageFault(`write ${this.#path}`, error);
    }
  }
}
