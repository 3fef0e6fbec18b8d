import { secondsText } from "../oci/seconds-text.ts";
import { SlowTimes } from "../process/slow-times.ts";

/** What is done with the disk, as an operator would say it. */
export type DiskOperation = "opening a file" | "writing" | "syncing" | "writing metadata";

/** What tells how fast the disk is, whatever else waits. */
const MEASURES: Partial<Record<DiskOperation, string>> = { syncing: "a sync", writing: "a write" };
/** How many of the last syncs and writes count. */
const REMEMBERED = 20;
/** Fewer say nothing about the disk. */
const MIN_COUNT = 5;
/** A disk whose syncs usually take so long is slow, in milliseconds. Hard disks take 10 to 50. */
const USUALLY_SLOW_MS = 200;
/** One operation that takes so long is enough, in milliseconds. */
const STUCK_MS = 5000;
/** How often running operations are looked at, in milliseconds. */
const LOOK_INTERVAL_MS = 1000;

export interface DiskTimesEvents {
  /** An operation has ended, after so many milliseconds. */
  readonly measured: (operation: DiskOperation, milliseconds: number) => void;
  /** The disk is slow. Called again and again for as long as it is, with its figures. */
  readonly slow: (figures: string) => void;
}

interface Running {
  readonly operation: DiskOperation;
  readonly since: number;
}

/** How long the disk of the store takes, measured wherever something is written to it. */
export class DiskTimes {
  readonly #events: DiskTimesEvents;
  readonly #slow = new SlowTimes();
  /** In order of their beginning. */
  readonly #running = new Set<Running>();
  /** How long the last ones took, in milliseconds. */
  readonly #last = new Map<DiskOperation, number[]>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(events: Partial<DiskTimesEvents> = {}) {
    this.#events = { measured: () => {}, slow: () => {}, ...events };
  }

  async measure<Result>(operation: DiskOperation, work: () => Promise<Result>): Promise<Result> {
    const running = { operation, since: performance.now() };
    this.#running.add(running);
    const end = this.#slow.begin();
    this.#timer ??= setInterval(() => this.#look(), LOOK_INTERVAL_MS).unref();
    try {
      return await work();
    } finally {
      end();
      this.#running.delete(running);
      this.#ended(operation, performance.now() - running.since);
    }
  }

  /** For how much of the last so many milliseconds the disk kept somebody waiting. */
  slowWithin(milliseconds: number): number {
    return this.#slow.within(milliseconds);
  }

  #ended(operation: DiskOperation, milliseconds: number): void {
    this.#events.measured(operation, milliseconds);
    const what = MEASURES[operation];
    if (what !== undefined) {
      const last = this.#last.get(operation) ?? [];
      this.#last.set(operation, last);
      last.push(milliseconds);
      if (last.length > REMEMBERED) last.shift();
      const [median, slowest] = figures(last);
      if (last.length >= MIN_COUNT && median >= USUALLY_SLOW_MS) {
        const sample = `the median of the last ${last.length}; the slowest took ${text(slowest)}`;
        this.#events.slow(`${what} takes ${text(median)} (${sample})`);
        return;
      }
    }
    if (milliseconds >= STUCK_MS) this.#events.slow(`${operation} took ${text(milliseconds)}`);
  }

  /** Also what does not end is noticed. */
  #look(): void {
    const [oldest] = this.#running;
    if (!oldest) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const milliseconds = performance.now() - oldest.since;
    if (milliseconds < STUCK_MS) return;
    this.#events.slow(`${oldest.operation} has not ended for ${text(milliseconds)}`);
  }
}

/** The median and the longest. */
function figures(times: readonly number[]): readonly [median: number, slowest: number] {
  const sorted = times.toSorted((one, other) => one - other);
  return [sorted[sorted.length >> 1] ?? 0, sorted.at(-1) ?? 0];
}

function text(milliseconds: number): string {
  return secondsText(milliseconds / 1000);
}
