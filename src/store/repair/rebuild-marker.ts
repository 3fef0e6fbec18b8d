import { existsSync, rmSync, writeFileSync } from "node:fs";

/** What is known of indexes that had to be begun anew, whose facts are made again from the store's files. */
export interface RebuildState {
  /** How many were begun since the start; one that an earlier process left unfinished is the first. */
  readonly started: number;
  /** How many of them have their facts again. */
  readonly finished: number;
}

/** Remembers in a file beside the index that it is not whole, for whoever comes after a kill -9. */
export class RebuildMarker implements RebuildState {
  readonly #path: string;
  #started = 0;
  #finished = 0;

  constructor(indexPath: string) {
    this.#path = `${indexPath}.rebuilding`;
    if (existsSync(this.#path)) this.#started = 1;
  }

  get started(): number {
    return this.#started;
  }

  get finished(): number {
    return this.#finished;
  }

  /** Before there is a new index. */
  begin(): void {
    this.#started += 1;
    writeFileSync(this.#path, "", { mode: 0o600, flush: true });
  }

  /** @param begun how many there were when this began */
  end(begun: number): void {
    this.#finished = begun;
    if (begun === this.#started) rmSync(this.#path, { force: true });
  }
}
