import type { Part } from "./messages.ts";

/** Parts begin at multiples of this, in bytes. */
const PAGE_BYTES = 16 * 1024;

/** Divides memory that two threads share into parts. Used by the one that writes to it. */
export class PartMemory {
  readonly #bytes: Uint8Array;
  /** For each page. */
  readonly #isTaken: boolean[];
  /** How many pages each part has, by its first byte. */
  readonly #parts = new Map<number, number>();
  /** In order of arrival. */
  readonly #waiting: { readonly pages: number; readonly onPlace: (at: number) => void }[] = [];

  constructor(shared: SharedArrayBuffer) {
    this.#bytes = new Uint8Array(shared);
    this.#isTaken = Array.from({ length: Math.floor(shared.byteLength / PAGE_BYTES) }, () => false);
  }

  /** Copies bytes to where the other thread can read them, once there is room. */
  async put(bytes: Uint8Array): Promise<Part> {
    const pages = Math.ceil(bytes.byteLength / PAGE_BYTES);
    if (pages > this.#isTaken.length) throw new RangeError("the shared memory is smaller");
    const at = this.#take(pages) ?? (await this.#wait(pages));
    this.#bytes.set(bytes, at);
    return { at, length: bytes.byteLength };
  }

  /** The part that begins there may be written over. */
  free(at: number): void {
    const pages = this.#parts.get(at) ?? 0;
    this.#parts.delete(at);
    this.#isTaken.fill(false, at / PAGE_BYTES, at / PAGE_BYTES + pages);
    for (;;) {
      const [next] = this.#waiting;
      const place = next && this.#take(next.pages);
      if (place === undefined) return;
      this.#waiting.shift();
      next?.onPlace(place);
    }
  }

  #wait(pages: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#waiting.push({ pages, onPlace: resolve });
    return promise;
  }

  /** The first byte of so many free pages. */
  #take(pages: number): number | undefined {
    let first = 0;
    for (let page = 0; page < this.#isTaken.length; page += 1) {
      if (this.#isTaken[page]) first = page + 1;
      else if (page + 1 - first === pages) {
        this.#isTaken.fill(true, first, first + pages);
        this.#parts.set(first * PAGE_BYTES, pages);
        return first * PAGE_BYTES;
      }
    }
    return undefined;
  }
}
