import type { RateInForce, RateSchedule } from "../../config/parsing/rate-schedule.ts";
import type { RateClock } from "./rate-clock.ts";
import { RecentBytes } from "./recent-bytes.ts";

/** How often the time of day is looked at, in milliseconds. */
export const LOOK_MS = 1000;
/** What may be made up for after a time without transfers: as much as in so many milliseconds. */
const IDLE_MS = 20;
/** The same while there are transfers, none of which waits: they write what they have received. */
const ACTIVE_MS = 100;
/** The same where downloads waited for this limit, and were let go on too late: the event loop was busy. */
const LATE_MS = 250;
/** For so long, in milliseconds, what does not wait for its turn makes downloads wait. */
const MAX_UNASKED_MS = 1000;

/**
 * A limit of bytes per second, kept by an account: it grows by the rate, and whatever is received is taken
 * from it. What was received before it was earned is a debt, in which nothing may be received. Nothing is
 * saved up, so that no burst follows a pause.
 */
export class RateLimit {
  readonly #clock: RateClock;
  readonly #recent = new RecentBytes();
  #schedule: RateSchedule | undefined;
  #inForce: RateInForce = {};
  #lookAt = -Infinity;
  /** In bytes. */
  #account = 0;
  #refilledAt: number;
  /** Whether a download waits for this limit. */
  #isAwaited = false;
  #heldBackAt = -Infinity;
  #transfers = 0;

  constructor(clock: RateClock) {
    this.#clock = clock;
    this.#refilledAt = clock.now();
  }

  /** Holds from now on. Without a schedule, there is no limit. */
  configure(schedule: RateSchedule | undefined): void {
    this.#schedule = schedule;
    this.#look();
  }

  /** The limit of this moment. */
  get inForce(): RateInForce {
    if (this.#clock.now() >= this.#lookAt) this.#look();
    return this.#inForce;
  }

  /** Bytes per second that were received lately. */
  get used(): number {
    return this.#recent.rate(this.#clock.now());
  }

  /** Whether a download had to wait for it in the last so many milliseconds. */
  hasHeldBack(milliseconds: number): boolean {
    return this.#clock.now() - this.#heldBackAt < milliseconds;
  }

  /** For a download that wants to receive: how long it has to wait, in milliseconds; 0 if it need not. */
  wait(): number {
    this.#refill();
    const { rate } = this.#inForce;
    this.#isAwaited = rate !== undefined && this.#account < 0;
    if (rate === undefined || !this.#isAwaited) return 0;
    this.#heldBackAt = this.#clock.now();
    return (-this.#account * 1000) / rate;
  }

  /** A transfer begins, which has to `end`. */
  begin(): void {
    this.#refill();
    this.#transfers += 1;
  }

  end(): void {
    this.#refill();
    this.#transfers -= 1;
  }

  /** Takes what a download will probably receive from the account; a negative number gives some back. */
  reserve(bytes: number): void {
    this.#refill();
    if (this.#inForce.rate !== undefined) this.#account -= bytes;
  }

  /** Counts what was received, for `used`. */
  received(bytes: number): void {
    this.#recent.add(bytes, this.#clock.now());
  }

  /** Counts what was received without waiting: manifests and tokens, which downloads give way to. */
  receivedUnasked(bytes: number): void {
    this.received(bytes);
    this.#refill();
    const { rate } = this.#inForce;
    if (rate === undefined) return;
    const least = Math.min(this.#account, (-rate * MAX_UNASKED_MS) / 1000);
    this.#account = Math.max(least, this.#account - bytes);
  }

  #refill(): void {
    const now = this.#clock.now();
    if (now >= this.#lookAt) this.#look();
    const elapsed = now - this.#refilledAt;
    this.#refilledAt = now;
    const { rate } = this.#inForce;
    if (rate === undefined) return;
    const window = this.#isAwaited ? LATE_MS : this.#transfers > 0 ? ACTIVE_MS : IDLE_MS;
    const most = (rate * window) / 1000;
    const earned = Math.min(most, this.#account + (rate * elapsed) / 1000);
    this.#account = Math.max(this.#account, earned);
  }

  #look(): void {
    const before = this.#inForce.rate;
    this.#lookAt = this.#clock.now() + LOOK_MS;
    this.#inForce = this.#schedule?.at(this.#clock.date()) ?? {};
    const { rate } = this.#inForce;
    if (before === rate) return;
    // A debt takes no longer to pay because the rate is lower by now.
    if (before === undefined || rate === undefined) this.#account = 0;
    else this.#account *= Math.min(1, rate / before);
    this.#heldBackAt = -Infinity;
    this.#refilledAt = this.#clock.now();
  }
}
