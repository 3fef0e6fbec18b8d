import { formatSize } from "../../config/parsing/units.ts";
import { descriptorCount, descriptorLimit } from "../../process/file-descriptors.ts";
import { anonymousMemory } from "../../process/resident-memory.ts";
import type { LocalProblems } from "../../telemetry/local-problems.ts";

/** The part of a limit from which on it is a problem. */
const NEAR = 0.9;
const LOOK_INTERVAL_MS = 5000;

export interface LimitsWatchOptions {
  readonly localProblems: LocalProblems;
  /** Bytes that this process may use. */
  readonly memoryLimit: number;
  /** In milliseconds. */
  readonly interval?: number;
}

/** Notices that this process comes near a limit, before it fails for that. */
export class LimitsWatch implements Disposable {
  readonly #options: LimitsWatchOptions;
  readonly #descriptors = descriptorLimit();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: LimitsWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.interval ?? LOOK_INTERVAL_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { localProblems, memoryLimit } = this.#options;
    const memory = anonymousMemory();
    if (memory >= NEAR * memoryLimit) {
      const part = `the cache takes ${formatSize(memory)} of ${formatSize(memoryLimit)}`;
      const advice =
        "Raise the limit (MemoryMax in a systemd unit, the memory limit of a container), or it may be killed";
      localProblems.notice("memory", `memory is nearly used up: ${part}. ${advice}`);
    }
    const open = descriptorCount();
    if (open >= NEAR * this.#descriptors) {
      const part = `the cache has ${open} of ${this.#descriptors}`;
      const advice = "Raise the limit (LimitNOFILE in a systemd unit)";
      localProblems.notice(
        "file-descriptors",
        `file descriptors are nearly used up: ${part}. ${advice}`,
      );
    }
  }
}
