/**
 * Readers that download by themselves, because the disk is slower than the source. Each takes a request
 * and a connection of its own, so there are a few of them at most; the others stay with their fills.
 */
export class Detours {
  readonly #limit: number;
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Begins one. The result ends it; calling that again does nothing. `undefined` if there are too many. */
  begin(): (() => void) | undefined {
    if (this.#count >= this.#limit) return undefined;
    this.#count += 1;
    let hasEnded = false;
    return () => {
      if (!hasEnded) this.#count -= 1;
      hasEnded = true;
    };
  }
}
