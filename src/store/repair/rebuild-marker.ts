import { existsSync } from "node:fs";
import { removeFileSync } from "../remove-file.ts";
import { replaceFile } from "../replace-file.ts";

/** How often the metadata database was replaced by an empty one, and rebuilt from the store's files. */
export interface RebuildState {
  /** Rebuilds that became necessary since the start, including one that an earlier process left unfinished. */
  readonly started: number;
  /** How many of them are finished: while it is less than `started`, the metadata is incomplete. */
  readonly finished: number;
}

/**
 * A file beside the metadata database which marks it as incomplete, so that a rebuild that a crash
 * interrupted is resumed by the next process.
 */
export class RebuildMarker implements RebuildState {
  readonly #path: string;
  #started = 0;
  #finished = 0;

  /** @param metadataPath of the metadata database */
  constructor(metadataPath: string) {
    this.#path = `${metadataPath}.rebuilding`;
    if (existsSync(this.#path)) this.#started = 1;
  }

  get started(): number {
    return this.#started;
  }

  get finished(): number {
    return this.#finished;
  }

  /** Marks the database as incomplete; called before it is replaced. */
  begin(): void {
    this.#started += 1;
    replaceFile(this.#path, "", true);
  }

  /**
   * Ends a rebuild, and removes the mark unless another one has become necessary meanwhile.
   *
   * @param started the value of `started` when the rebuild began
   */
  end(started: number): void {
    this.#finished = started;
    if (started === this.#started) removeFileSync(this.#path);
  }
}
