import type { ReleasePermit } from "./concurrency-limiter.ts";

/**
 * The permit of a download that is made of several requests, one after the other: it waits for one once, and
 * keeps its place between them.
 */
export class HeldPermit {
  #held: ReleasePermit | undefined;
  #isActive = false;
  #onKept: ((release: ReleasePermit) => void) | undefined;

  /** The permit that is held, that of the request before once this has ended, or a new one. */
  async take(acquire: () => Promise<ReleasePermit>): Promise<ReleasePermit> {
    this.#isActive = true;
    const held = this.#held;
    this.#held = undefined;
    if (held) return held;
    const kept = Promise.withResolvers<ReleasePermit>();
    this.#onKept = kept.resolve;
    const acquired = acquire();
    try {
      const release = await Promise.race([kept.promise, acquired]);
      acquired.then((other) => other !== release && other()).catch(() => {});
      return release;
    } finally {
      this.#onKept = undefined;
    }
  }

  /** A request has ended: its permit is for the next one. */
  keep(release: ReleasePermit): void {
    if (this.#onKept) this.#onKept(release);
    else if (this.#isActive && !this.#held) this.#held = release;
    else release();
    this.#onKept = undefined;
  }

  /** The download has ended, or pauses. */
  release(): void {
    this.#isActive = false;
    this.#held?.();
    this.#held = undefined;
  }
}
