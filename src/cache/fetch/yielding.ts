import type { BackOff } from "./back-off.ts";
import type { ChunkReader, Source } from "./source.ts";

/**
 * A download that no client has asked for yet, and that gives way to others: it can be paused, which frees
 * its connection and keeps its bytes. Once a client asks, it is one as any other.
 */
export class Yielding {
  #isAsked = false;
  #isPaused = false;
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

  /** Runs a transfer, whose body ends when it is paused. */
  async unlessPaused<Value>(
    body: Pick<ChunkReader, "cancel">,
    transfer: () => Promise<Value>,
  ): Promise<Value> {
    this.#onPause = () => void body.cancel().catch(() => {});
    if (this.#isPaused) this.#onPause();
    try {
      return await transfer();
    } finally {
      this.#onPause = () => {};
    }
  }
}
