import { DISK_PATIENCE_MS, withTimeout } from "./with-timeout.ts";

export interface WriteBehindLimits {
  readonly writes: number;
  /** Memory that the writes keep, in bytes. */
  readonly bytes: number;
}

const LIMITS: WriteBehindLimits = { writes: 512, bytes: 8 * 1024 * 1024 };

/**
 * Lets clients go on while a slow disk still has to finish what they caused. Bounded: while there is too
 * much behind, they wait for the disk.
 */
export class WriteBehind {
  readonly #limits: WriteBehindLimits;
  readonly #writing = new Set<Promise<unknown>>();
  #bytes = 0;
  #idle = Promise.withResolvers<void>();

  constructor(limits: WriteBehindLimits = LIMITS) {
    this.#limits = limits;
    this.#idle.resolve();
  }

  /**
   * The result of `write`, which has to report its own failures; `undefined` if it goes on behind.
   *
   * @param bytes of memory that it keeps meanwhile
   * @param patience how long the disk is waited for, in milliseconds
   */
  async run<Value>(
    write: () => Promise<Value>,
    bytes = 0,
    patience = DISK_PATIENCE_MS,
  ): Promise<Value | undefined> {
    if (this.#writing.size === 0) this.#idle = Promise.withResolvers();
    const writing = write().finally(() => {
      this.#writing.delete(writing);
      this.#bytes -= bytes;
      if (this.#writing.size === 0) this.#idle.resolve();
    });
    this.#writing.add(writing);
    this.#bytes += bytes;
    const isTooMuch = this.#writing.size > this.#limits.writes || this.#bytes > this.#limits.bytes;
    return isTooMuch ? writing : withTimeout(patience, writing);
  }

  /** Resolves once what is behind now is written, or could not be. What comes later is not waited for. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#writing);
  }

  /** Resolves once nothing is behind. */
  idle(): Promise<void> {
    return this.#idle.promise;
  }
}
