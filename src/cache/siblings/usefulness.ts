import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";

/** A blob that was downloaded ahead is of use if a client asks for it within this time, in milliseconds. */
const USEFUL_MS = 600_000;
/** So many blobs have to be judged before anything follows from it. */
const MIN_JUDGED = 20;
/** After so many, older ones count half. */
const MAX_JUDGED = 128;
/** Below this part of them, downloading ahead is a waste. */
const MIN_SHARE = 0.5;
/** How long it then stays off, in milliseconds. */
const OFF_MS = 3_600_000;
/** Blobs that are waited for. */
const MAX_PENDING = 8192;

/** What came of downloading ahead from an upstream, since the start. */
export interface Usefulness {
  /** Blobs whose download began before a client asked for them, and which are stored. */
  readonly filled: number;
  /** Those of them that a client asked for within ten minutes. */
  readonly asked: number;
  /** Until when it is off because too few of them were asked for, in milliseconds of the epoch. */
  readonly offUntil?: number;
}

/** Called when downloading ahead from an upstream switches itself off, or on again. */
export type OnSwitched = (
  upstream: UpstreamName,
  state: { readonly isOn: boolean; readonly asked: number; readonly judged: number },
) => void;

interface Pending {
  readonly upstream: UpstreamName;
  readonly since: number;
}

interface Tally {
  filled: number;
  asked: number;
  /** Lately: how many blobs are judged, and how many of them were of use. */
  judged: number;
  useful: number;
  offUntil: number | undefined;
}

/**
 * Whether it is of use to download blobs before clients ask for them, by upstream. Where clients stop after
 * the first layers, as scanners and lazy pullers do, it is not, and switches itself off for an hour.
 */
export class UsefulnessRecord {
  readonly #now: () => number;
  readonly #wallClock: () => number;
  readonly #onSwitched: OnSwitched;
  /** In the order in which they were begun. */
  readonly #pending = new Map<string, Pending>();
  readonly #tallies = new Map<UpstreamName, Tally>();

  /**
   * @param now a monotonic clock, in milliseconds
   * @param wallClock in milliseconds of the epoch, for what is shown
   */
  constructor(
    now: () => number,
    wallClock: () => number = Date.now,
    onSwitched: OnSwitched = () => {},
  ) {
    this.#now = now;
    this.#wallClock = wallClock;
    this.#onSwitched = onSwitched;
  }

  /** Whether blobs of this upstream may be downloaded ahead. */
  isOn(upstream: UpstreamName): boolean {
    this.#expire();
    const tally = this.#tallyOf(upstream);
    if (tally.offUntil === undefined) return true;
    if (this.#now() < tally.offUntil) return false;
    tally.offUntil = undefined;
    this.#onSwitched(upstream, { isOn: true, asked: 0, judged: 0 });
    return true;
  }

  of(upstream: UpstreamName): Usefulness {
    this.#expire();
    const { filled, asked, offUntil } = this.#tallyOf(upstream);
    const left = (offUntil ?? -Infinity) - this.#now();
    return { filled, asked, ...(left > 0 ? { offUntil: this.#wallClock() + left } : {}) };
  }

  /** A download has begun that no client asked for. */
  begun(upstream: UpstreamName, digest: Digest): void {
    this.#expire();
    if (this.#pending.size >= MAX_PENDING) return;
    this.#pending.set(keyOf(upstream, digest), { upstream, since: this.#now() });
  }

  /** It has stored the blob. */
  stored(upstream: UpstreamName): void {
    this.#tallyOf(upstream).filled += 1;
  }

  /** It has failed: that says nothing of its use. */
  failed(upstream: UpstreamName, digest: Digest): void {
    this.#pending.delete(keyOf(upstream, digest));
  }

  /** A client asks for a blob. Returns whether it is the first one to ask for one that was downloaded ahead. */
  asked(upstream: UpstreamName, digest: Digest): boolean {
    if (this.#pending.size === 0) return false;
    const key = keyOf(upstream, digest);
    const pending = this.#pending.get(key);
    if (!pending) return false;
    this.#expire();
    if (!this.#pending.delete(key)) return false;
    this.#tallyOf(upstream).asked += 1;
    this.#judge(upstream, true);
    return true;
  }

  #expire(): void {
    const before = this.#now() - USEFUL_MS;
    for (const [key, { upstream, since }] of this.#pending) {
      if (since > before) return;
      this.#pending.delete(key);
      this.#judge(upstream, false);
    }
  }

  #judge(upstream: UpstreamName, isUseful: boolean): void {
    const tally = this.#tallyOf(upstream);
    if (tally.offUntil !== undefined) return;
    tally.judged += 1;
    if (isUseful) tally.useful += 1;
    const { judged, useful } = tally;
    if (judged >= MIN_JUDGED && useful < MIN_SHARE * judged) {
      [tally.judged, tally.useful] = [0, 0];
      tally.offUntil = this.#now() + OFF_MS;
      this.#onSwitched(upstream, { isOn: false, asked: useful, judged });
    } else if (judged >= MAX_JUDGED) {
      [tally.judged, tally.useful] = [judged / 2, useful / 2];
    }
  }

  #tallyOf(upstream: UpstreamName): Tally {
    const known = this.#tallies.get(upstream);
    if (known) return known;
    const tally: Tally = { filled: 0, asked: 0, judged: 0, useful: 0, offUntil: undefined };
    this.#tallies.set(upstream, tally);
    return tally;
  }
}

function keyOf(upstream: UpstreamName, digest: Digest): string {
  return `${upstream} ${digest}`;
}
