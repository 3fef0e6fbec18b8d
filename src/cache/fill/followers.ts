/** Who reads something now: what is read must not be evicted, and its draft not be closed. */
export class Followers {
  #count = 0;
  #left: (() => void) | undefined;

  get count(): number {
    return this.#count;
  }

  enter(): void {
    this.#count += 1;
  }

  leave(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#left?.();
  }

  /** Calls back when nobody reads, which may be now. */
  onceLeft(left: () => void): void {
    this.#left = left;
    if (this.#count === 0) left();
  }

  left(): Promise<void> {
    return new Promise((resolve) => this.onceLeft(resolve));
  }
}
