/** How long a failing host is probed after somebody wanted it for the last time, in milliseconds. */
const WANTED_FOR = 60_000;
/** The longest delay before the first probe, in milliseconds. */
const FIRST_DELAY = 50;
/**
 * The pause between probes, from half of it to all of it, in milliseconds. One that took long is followed
 * by a pause of the same length, up to the longest.
 */
const PAUSE = 1000;
const LONGEST_PAUSE = 8000;

export interface RecoveryProbeOptions {
  /** Whether a probe's answer would let requests through again. */
  readonly isUseful: () => boolean;
  /** Sends one cheap request, and records what it says about the host. Rejects if nothing answers. */
  readonly probe: () => Promise<void>;
}

/**
 * Probes a failing host in the background while somebody wants it, so that requests go on with its first
 * answer and not at the end of a cool-down. At most one probe at a time. Jitter keeps replicas apart.
 */
export class RecoveryProbe {
  readonly #options: RecoveryProbeOptions;
  #wantedAt = 0;
  #isRunning = false;
  #verdict: Promise<void> | undefined;

  constructor(options: RecoveryProbeOptions) {
    this.#options = options;
  }

  /** A request failed, was refused, or was answered without the host. */
  wanted(): void {
    this.#wantedAt = performance.now();
    if (this.#isRunning) return;
    this.#isRunning = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#verdict = promise;
    void this.#run(resolve);
  }

  /** Resolves when the first probe has ended; `undefined` if it has, or if the host is not probed. */
  get verdict(): Promise<void> | undefined {
    return this.#verdict;
  }

  async #run(onVerdict: () => void): Promise<void> {
    await pause(Math.random() * FIRST_DELAY);
    while (this.#options.isUseful() && performance.now() - this.#wantedAt < WANTED_FOR) {
      const startedAt = performance.now();
      await this.#options.probe().catch(() => undefined);
      this.#verdict = undefined;
      onVerdict();
      if (!this.#options.isUseful()) break;
      const took = Math.min(performance.now() - startedAt, LONGEST_PAUSE);
      await pause(Math.max(PAUSE, took) * (0.5 + 0.5 * Math.random()));
    }
    this.#isRunning = false;
    this.#verdict = undefined;
    onVerdict();
  }
}

/** A pause that does not keep the process running. */
function pause(milliseconds: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, milliseconds).unref();
  return promise;
}
