import type { Extent } from "../../../store/extents.ts";
import { STALLED_MS } from "./relief.ts";
import type { TransferUse } from "../source.ts";

/** A segment for which the fill or a client waits is slow if it is so many times slower than the others. */
const SLOW_FACTOR = 4;

/** A segment that is being received, and what is seen of its connection. */
export class RunningSegment implements Extent {
  readonly first: number;
  readonly end: number;
  readonly use: TransferUse;
  readonly abort: AbortController = new AbortController();
  readonly #now: () => number;
  readonly #since: number;
  #received = 0;
  /** When it last received something, or began to wait for more. */
  #lastAt: number;
  /** Whether it waits for the source, and not for the disk. */
  #isReading = true;
  /** Milliseconds for which it has waited for the disk. */
  #written = 0;

  /** @param now a monotonic clock, in milliseconds */
  constructor({ first, end }: Extent, use: TransferUse, now: () => number) {
    [this.first, this.end, this.use, this.#now] = [first, end, use, now];
    this.#since = this.#lastAt = now();
  }

  /** How many bytes it has received. */
  get received(): number {
    return this.#received;
  }

  /** It waits for the source from now on. */
  reads(): void {
    const now = this.#now();
    if (!this.#isReading) this.#written += now - this.#lastAt;
    [this.#isReading, this.#lastAt] = [true, now];
  }

  /** It has received bytes, and writes them. */
  gets(bytes: number): void {
    this.#received += bytes;
    [this.#isReading, this.#lastAt] = [false, this.#now()];
  }

  /**
   * Whether its connection holds up who waits for the byte at an offset.
   *
   * @param rate of a connection, in bytes per second
   * @param minLeft with less left, one that is only slow is as fast as another one would be
   */
  isLate(offset: number, rate: number, minLeft: number): boolean {
    if (!this.#isReading) return false;
    const now = this.#now();
    if (now - this.#lastAt >= STALLED_MS) return true;
    const elapsed = now - this.#since - this.#written;
    const isSlow = (this.#received * 1000) / elapsed < rate / SLOW_FACTOR;
    return elapsed >= STALLED_MS && isSlow && this.end - offset >= minLeft;
  }
}
