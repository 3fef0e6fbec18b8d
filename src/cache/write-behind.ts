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
  #writes = 0;
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
   */
  async run<Value>(write: () => Promise<Value>, bytes = 0): Promise<Value | undefined> {
    if (this.#writes === 0) this.#idle = Promise.withResolvers();
    this.#writes += 1;
    this.#bytes += bytes;
    const isTooMuch = this.#writes > this.#limits.writes || this.#bytes > this.#limits.bytes;
    const writing = write().finally(() => {
      this.#writes -= 1;
      this.#bytes -= bytes;
      if (this.#writes === 0) this.#idle.resolve();
    });
    return isTooMuch ? writing : withTimeout(DISK_PATIENCE_MS, writing);
  }

  /** Resolves once nothing is behind. */
  idle(): Promise<void> {
    return this.#idle.promise;
  }
}
