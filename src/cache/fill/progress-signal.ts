/** Followers are woken after this many new bytes, or this many milliseconds after the first of them. */
const WAKE_BYTES = 256 * 1024;
const WAKE_DELAY_MS = 5;

/** Wakes followers for several chunks at once: waking many of them costs more than sending a chunk. */
export class ProgressSignal {
  readonly #available: () => number;
  #next = Promise.withResolvers<void>();
  /** The value of `available` when the followers were last woken. */
  #announcedBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param available how many bytes can be read now */
  constructor(available: () => number) {
    this.#available = available;
  }

  /** Resolves when the followers are woken. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  /** New bytes can be read. */
  grew(): void {
    const isDue =
      this.#announcedBytes === 0 || this.#available() - this.#announcedBytes >= WAKE_BYTES;
    if (isDue) this.wake();
    else this.#timer ??= setTimeout(() => this.wake(), WAKE_DELAY_MS);
  }

  /** Wakes the followers now. */
  wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#announcedBytes = this.#available();
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers<void>();
    resolve();
  }
}
