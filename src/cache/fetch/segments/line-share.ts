import { AloneTrial } from "./alone-trial.ts";
import { SEGMENT_SIZES, type SegmentSizes } from "./segment-sizes.ts";

/** How often the rate is measured, in milliseconds. */
const WINDOW_MS = 200;
/** A connection of at least this rate is left alone, in bytes per second. */
export const FAST_RATE = 60 * 1024 * 1024;
/** Below this rate, what one more connection brings is noise, in bytes per second. */
const MIN_RATE = 256 * 1024;
/** The gain for which a further connection is kept. Of the eighth, no more than a seventh can be expected. */
const MIN_GAIN = 0.15;
/** How many windows a connection on trial may take until it receives. */
const MAX_TRIAL_WINDOWS = 10;
/** How many windows a connection on trial is judged by: TCP needs several round trips to reach its rate. */
const MAX_JUDGED_WINDOWS = 6;
/** How long a connection that brought nothing is not tried again, in milliseconds. */
const SETTLED_MS = 10_000;
/** How long an upstream that refused, or failed, gets no further connections, in milliseconds. */
const TROUBLE_MS = 30_000;
/** How long no more than half as many are tried then, in milliseconds. */
const CEILING_MS = 600_000;
/** How long after one has broken no further one is tried, in milliseconds. */
const BROKEN_MS = 5000;
/** How long an upstream whose parts were not those of one blob is asked for whole ones, in milliseconds. */
const DISTRUST_MS = 600_000;

/** A download that can use further connections. */
export interface LineUser {
  /** Whether all further connections that it has receive bytes by now. */
  readonly isReceiving: boolean;
  /** Who comes first gets the next connection: the lowest, 0 by default, which is for what clients wait for. */
  readonly rank?: number;
  /** How many downloads from the upstream have a connection of their own, as far as it knows; 1 by default. */
  readonly own?: number | undefined;
  /** Whether its own connection is fast enough by itself. */
  readonly isFast?: boolean;
  /** Whether a limit of bytes per second is what it waits for. */
  readonly isHeldBack?: boolean;
  /** Begins one more, if there is something left for it to do. */
  tryConnect(): boolean;
  /** Ends the one that it began last, if it can, and calls `release`. Returns whether it has. */
  disconnect?(): boolean;
}

/**
 * How many further connections the large downloads from one upstream use: beside the one that each has
 * anyway. Where each connection is slower than the line, more of them are faster. One is added at a time,
 * and kept if the sum of all grew by it: on a line that is full, they would only take from each other.
 */
export class LineShare {
  /** The most further connections at once. */
  limit = 0;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
  readonly #users = new Set<LineUser>();
  /** Those whose own connection is idle. */
  readonly #idle = new Set<LineUser>();
  #allowed = 0;
  #running = 0;
  /** Of the window that is measured. */
  #bytes = 0;
  #since: number;
  /** With one connection less, in bytes per second. Set while one is on trial. */
  #before: number | undefined;
  /** Whether the current window began when the connection on trial was receiving. */
  #isMeasuring = false;
  #trialWindows = 0;
  #judgedWindows = 0;
  readonly #alone = new AloneTrial();
  #settledUntil = -Infinity;
  #distrustedUntil = -Infinity;
  /** The most that are tried, after more were refused. */
  #ceiling = Infinity;
  #ceilingUntil = -Infinity;
  #rate = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    now: () => number = () => performance.now(),
    readonly sizes: SegmentSizes = SEGMENT_SIZES,
  ) {
    this.now = now;
    this.#since = now();
  }

  /** How many further connections are allowed now. */
  get allowed(): number {
    return this.#allowed;
  }

  /** Whether connections are added, or may be soon: then downloads are to proceed in segments. */
  get isOpen(): boolean {
    return this.#allowed > 0 || this.now() >= this.#settledUntil;
  }

  /** How many further connections there are. */
  get running(): number {
    return this.#running;
  }

  /** Of late, in bytes per second. */
  get ratePerConnection(): number {
    return this.#rate / (this.#own + this.#running);
  }

  /** Whether parts that the upstream sent were not those of one blob. */
  get isDistrusted(): boolean {
    return this.now() < this.#distrustedUntil;
  }

  join(user: LineUser): void {
    this.#users.add(user);
    if (this.#timer === undefined) {
      this.#restart();
      this.#rate = 0;
      this.#timer = setInterval(() => this.look(), WINDOW_MS).unref();
    }
    this.#connect();
  }

  leave(user: LineUser): void {
    this.#users.delete(user);
    this.#idle.delete(user);
    if (this.#users.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** A download has received bytes, over any of its connections. */
  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Takes one of the allowed connections, even beyond what is allowed if a client asks for its bytes. */
  take(isDemanded: boolean): boolean {
    if (this.#running >= (isDemanded ? this.limit : this.#wanted)) return false;
    this.#running += 1;
    return true;
  }

  /** The own connection of a download is idle: a further one receives what it needs next. */
  waits(user: LineUser): void {
    if (this.#idle.has(user)) return;
    this.#idle.add(user);
    this.#connect();
  }

  /** The own connection of a download is in use again. */
  receives(user: LineUser): void {
    this.#idle.delete(user);
  }

  release(): void {
    this.#running -= 1;
    this.#connect();
  }

  /**
   * The upstream refused a further connection, or sent something else: each download goes on with one.
   *
   * @param areTooMany whether fewer may be accepted later: as many are left for other downloads
   */
  trouble(areTooMany: boolean): void {
    if (areTooMany) {
      this.#ceiling = Math.floor(this.#running / 2);
      this.#ceilingUntil = this.now() + CEILING_MS;
    }
    this.#settle(0, TROUBLE_MS);
  }

  /** A further connection broke, which any may do: with half as many, it goes on. */
  broke(): void {
    this.#settle(Math.floor(this.#allowed / 2), BROKEN_MS);
  }

  /** Parts that the upstream sent were not those of one blob. */
  distrust(): void {
    this.#settle(0, DISTRUST_MS);
    this.#distrustedUntil = this.#settledUntil;
  }

  /** Judges the window that ends now, and begins the next one. */
  look(): void {
    const elapsed = this.now() - this.#since;
    const rate = elapsed > 0 ? (this.#bytes * 1000) / elapsed : 0;
    // A line that still becomes faster by itself says nothing of what one connection more would bring. That is
    // no harm to a download that a client waits for, whose own connection it is.
    const isForClients = [...this.#users].some(({ rank = 0 }) => rank === 0);
    const isSettled = this.#allowed > 0 || rate <= this.#rate * (1 + MIN_GAIN);
    this.#rate = rate;
    this.#restart();
    // However many connections there are, they get no more: one each is enough.
    if ([...this.#users].some(({ isHeldBack }) => isHeldBack)) this.#settle(0, WINDOW_MS);
    else if (this.#alone.isRunning) this.#lookAlone();
    else if (this.#before === undefined) {
      if (isForClients || isSettled) this.#tryMore(rate);
    } else if (this.#isMeasuring) this.#judge(this.#before, rate);
    else if (this.#trialWindows >= MAX_TRIAL_WINDOWS) this.#settle(this.#allowed - 1, SETTLED_MS);
    else {
      this.#trialWindows += 1;
      this.#isMeasuring = this.#isTried;
    }
  }

  #tryMore(rate: number): void {
    const connections = this.#own + this.#running;
    const isSlow = rate < FAST_RATE * connections && rate >= MIN_RATE;
    const limit =
      this.now() < this.#ceilingUntil ? Math.min(this.#ceiling, this.limit) : this.limit;
    if (!isSlow || this.#allowed >= limit || this.now() < this.#settledUntil) return;
    // What clients ask for comes and goes: meanwhile, nothing can be learned.
    if (this.#running > this.#wanted) return;
    this.#before = rate;
    this.#isMeasuring = false;
    this.#trialWindows = 0;
    this.#judgedWindows = 0;
    this.#allowed += 1;
    this.#connect();
  }

  /** A further connection takes the place of each one that is idle. */
  get #wanted(): number {
    return this.#allowed + this.#idle.size;
  }

  /** Whether the allowed connections are all there, and receive. */
  get #isTried(): boolean {
    return this.#running >= this.#wanted && [...this.#users].every((user) => user.isReceiving);
  }

  #judge(before: number, rate: number): void {
    this.#before = undefined;
    // What was measured is that of other connections, if one has ended or begun meanwhile.
    if (this.#running !== this.#wanted) return;
    const expected = 1 / Math.max(1, this.#own + this.#running - 1);
    if (rate >= before * (1 + Math.min(MIN_GAIN, expected / 2))) {
      this.#tryMore(rate);
      return;
    }
    this.#judgedWindows += 1;
    if (this.#judgedWindows < MAX_JUDGED_WINDOWS) {
      this.#before = before;
      return;
    }
    // It brings nothing.
    this.#settle(this.#allowed - 1, SETTLED_MS);
    const isFast = rate >= FAST_RATE && this.#own === 1;
    if (isFast && this.#alone.begin(this.#allowed, this.now())) this.#allowed = 0;
  }

  #lookAlone(): void {
    const isFast = this.#running === 0 && [...this.#users].every((user) => user.isFast);
    this.#allowed = this.#alone.look(isFast) ?? this.#allowed;
    this.#connect();
  }

  /** No further connection is tried for a while. */
  #settle(allowed: number, milliseconds: number): void {
    this.#before = undefined;
    this.#alone.cancel();
    this.#allowed = allowed;
    this.#settledUntil = Math.max(this.#settledUntil, this.now() + milliseconds);
    // Others end with their part.
    for (const user of this.#byRank().toReversed()) {
      while (this.#running > this.#wanted && user.disconnect?.() === true);
    }
  }

  #connect(): void {
    if (this.#running >= this.#wanted) return;
    for (const user of this.#byRank()) {
      while (this.#running < this.#wanted && user.tryConnect());
    }
  }

  #byRank(): LineUser[] {
    return [...this.#users].toSorted((one, other) => (one.rank ?? 0) - (other.rank ?? 0));
  }

  /** How many downloads have a connection of their own. Small ones do not join. */
  get #own(): number {
    const all = [...this.#users];
    const joined = all.filter(({ own }) => own === undefined).length;
    return Math.max(1, joined, ...all.map(({ own = 0 }) => own));
  }

  #restart(): void {
    this.#bytes = 0;
    this.#since = this.now();
  }
}
