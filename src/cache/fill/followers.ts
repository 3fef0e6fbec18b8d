/**
 * Counts the followers of a fill. As long as there are any, the blob must not be evicted, and its
 * partial file must stay open.
 */
export class Followers {
  /**
   * How far ahead of what they can read parts may be received, in bytes. What is ahead is lost to them if this
   * machine dies.
   */
  reach = Infinity;
  #count = 0;
  #hadAny = false;
  #onIdle: (() => void) | undefined;

  get count(): number {
    return this.#count;
  }

  /** Whether there ever was one. */
  get hadAny(): boolean {
    return this.#hadAny;
  }

  add(): void {
    this.#hadAny = true;
    this.#count += 1;
  }

  remove(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#onIdle?.();
  }

  /** Calls back as soon as there is no follower, which may be at once. Keeps only the last callback. */
  onIdle(callback: () => void): void {
    this.#onIdle = callback;
    if (this.#count === 0) callback();
  }

  /** Resolves as soon as there is no follower. */
  idle(): Promise<void> {
    return new Promise((resolve) => this.onIdle(resolve));
  }
}
