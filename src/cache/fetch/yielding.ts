import type { BackOff } from "./back-off.ts";
import type { ChunkReader, Source } from "./source.ts";

/**
 * A download that no client has asked for yet, and that gives way to others: it can be paused, which frees
 * its connection and keeps its bytes. Once a client asks, it is one as any other.
 */
export class Yielding {
  #isAsked = false;
  #isPaused = false;
  #isLeft = false;
  #resumed = Promise.withResolvers<void>();
  readonly #onAsked: () => void;
  #onPause: () => void = () => {};

  /** @param onAsked called once, when the first client asks for the blob */
  constructor(onAsked: () => void = () => {}) {
    this.#onAsked = onAsked;
  }

  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** Whether it ends, so that a client that asks now has to begin another one. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** A client asks for the blob. */
  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.resume();
    this.#onAsked();
  }

  /** Ends its transfer, if it may: returns whether it is paused now. */
  pause(): boolean {
    if (this.#isAsked) return false;
    if (this.#isPaused) return true;
    this.#isPaused = true;
    this.#resumed = Promise.withResolvers<void>();
    this.#onPause();
    return true;
  }

  /** Nobody wants it any more: it is about to be suspended. */
  leave(): void {
    this.#isLeft = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#resumed.resolve();
  }

  /**
   * Resolves when it is not paused any more. Until then, others have its place.
   *
   * @throws the signal's reason, if it is aborted first
   */
  async resumed(
    source: Pick<Source, "pause">,
    { signal, backOff }: { readonly signal: AbortSignal; readonly backOff: BackOff },
  ): Promise<void> {
    source.pause?.();
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (this.#isPaused) await Promise.race([this.#resumed.promise, promise]);
      // A pause is no failure to make progress.
      backOff.progressed(0);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Runs a transfer, whose body ends when it is paused: at once if bytes are waited for, and otherwise with the
   * next read. A chunk that is being used may be lent, and must not be given back yet.
   */
  async unlessPaused<Value>(
    body: ChunkReader,
    transfer: (body: ChunkReader) => Promise<Value>,
  ): Promise<Value> {
    let isReading = false;
    let isOver = this.#isPaused;
    this.#onPause = () => {
      isOver = true;
      if (isReading) void body.cancel().catch(() => {});
    };
    const pausable: ChunkReader = {
      async read() {
        if (isOver) return { done: true };
        isReading = true;
        try {
          const next = await body.read();
          // It may have been given back since it arrived.
          return isOver ? { done: true } : next;
        } finally {
          isReading = false;
        }
      },
      cancel: () => body.cancel(),
    };
    try {
      return await transfer(pausable);
    } finally {
      this.#onPause = () => {};
    }
  }
}
