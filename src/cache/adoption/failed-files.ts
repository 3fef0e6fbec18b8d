import { describeSystemError } from "../../store/storage-fault.ts";

/** A file or folder that was left out, with what to mend. */
export interface FailedFile {
  readonly path: string;
  readonly reason: string;
}

/** How many are listed; all are counted. */
const MAX_LISTED = 100;

/** What an adoption had to leave out, since this machine could not read or store it. */
export class FailedFiles {
  readonly #listed = new Map<string, string>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get listed(): FailedFile[] {
    return Array.from(this.#listed, ([path, reason]) => ({ path, reason }));
  }

  /** The file itself, or its folder, cannot be read. */
  unreadable(path: string, cause: unknown): void {
    this.#add(path, describeSystemError(cause));
  }

  /** The store failed with this file. */
  unstored(path: string, cause: unknown): void {
    this.#add(path, `it could not be stored: ${describeSystemError(cause)}`);
  }

  #add(path: string, reason: string): void {
    if (this.#listed.has(path)) return;
    this.#count += 1;
    if (this.#listed.size < MAX_LISTED) this.#listed.set(path, reason);
  }
}
