import { formatSize } from "../../config/parsing/units.ts";
import type { DescriptorBudget } from "../../process/file-descriptors.ts";
import { anonymousMemory } from "../../process/resident-memory.ts";
import type { LocalProblems } from "../../telemetry/local-problems.ts";
import { noticeFewDescriptors } from "./machine-limits.ts";

/** The part of a limit from which on it is a problem. */
const NEAR = 0.9;
const LOOK_INTERVAL_MS = 5000;

export interface LimitsWatchOptions {
  readonly localProblems: LocalProblems;
  readonly descriptors: DescriptorBudget;
  /** Bytes that this process may use. */
  readonly memoryLimit: number;
  /** In milliseconds. */
  readonly interval?: number;
}

/** Notices that this process comes near a limit, before it fails for that. */
export class LimitsWatch implements Disposable {
  readonly #options: LimitsWatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: LimitsWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.interval ?? LOOK_INTERVAL_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { localProblems, descriptors, memoryLimit } = this.#options;
    const memory = anonymousMemory();
    if (memory >= NEAR * memoryLimit) {
      const part = `the cache takes ${formatSize(memory)} of ${formatSize(memoryLimit)}`;
      const advice =
        "Raise the limit (MemoryMax in a systemd unit, the memory limit of a container), or it may be killed";
      localProblems.notice("memory", `memory is nearly used up: ${part}. ${advice}`);
    }
    if (descriptors.used >= NEAR * descriptors.limit)
      noticeFewDescriptors(localProblems, descriptors);
  }
}
