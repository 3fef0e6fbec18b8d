/** What takes less than this counts as nothing, in milliseconds. */
const SLOW_MS = 500;
/** How many times of slowness are remembered: those of the last minute, since each is half a second or more. */
const MAX_REMEMBERED = 120;

interface Interval {
  readonly from: number;
  until: number;
}

/** When something was slow: of waits that overlap, each moment counts once. */
export class SlowTimes {
  readonly #now: () => number;
  /** The beginning of each wait that is not over, in their order. */
  readonly #waiting = new Set<{ readonly from: number }>();
  /** Without overlaps, in their order. */
  readonly #past: Interval[] = [];

  /** @param now a monotonic clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A wait begins. The result ends it; calling that again does nothing. */
  begin(): () => void {
    const wait = { from: this.#now() };
    this.#waiting.add(wait);
    return () => {
      if (!this.#waiting.delete(wait)) return;
      const until = this.#now();
      if (until - wait.from >= SLOW_MS) this.#remember({ from: wait.from, until });
    };
  }

  /** How long the wait that began first has been going on, in milliseconds; 0 if nothing is waited for. */
  get longest(): number {
    const [first] = this.#waiting;
    return first ? this.#now() - first.from : 0;
  }

  /** For how much of the last so many milliseconds a wait went on that was slow. */
  within(milliseconds: number): number {
    const now = this.#now();
    const start = now - milliseconds;
    const current = this.longest >= SLOW_MS ? now - this.longest : now;
    let sum = now - Math.max(start, current);
    for (const { from, until } of this.#past) {
      sum += Math.max(0, Math.min(until, current) - Math.max(from, start));
    }
    return sum;
  }

  #remember(interval: Interval): void {
    let { from } = interval;
    for (let last = this.#past.at(-1); last && last.until >= from; last = this.#past.at(-1)) {
      from = Math.min(from, last.from);
      this.#past.pop();
    }
    this.#past.push({ from, until: interval.until });
    if (this.#past.length > MAX_REMEMBERED) this.#past.shift();
  }
}
