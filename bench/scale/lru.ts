/** What one replica has on its disk: the least recently used goes first. */
export class LruDisk {
  readonly #capacity: number;
  readonly #sizes = new Map<number, number>();
  #used = 0;

  /** @param capacity in bytes */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Whether it is there; it counts as used. */
  use(layer: number): boolean {
    const size = this.#sizes.get(layer);
    if (size === undefined) return false;
    this.#sizes.delete(layer);
    this.#sizes.set(layer, size);
    return true;
  }

  add(layer: number, size: number): void {
    if (size > this.#capacity || this.#sizes.has(layer)) return;
    this.#sizes.set(layer, size);
    this.#used += size;
    for (const [oldest, bytes] of this.#sizes) {
      if (this.#used <= this.#capacity) break;
      this.#sizes.delete(oldest);
      this.#used -= bytes;
    }
  }

  get usedBytes(): number {
    return this.#used;
  }
}
