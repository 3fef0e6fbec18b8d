import type { RateInForce, RateSchedule } from "../../config/parsing/rate-schedule.ts";
import { type RateClock, SYSTEM_CLOCK } from "./rate-clock.ts";
import { LOOK_MS, RateLimit } from "./rate-limit.ts";
import { type Lane, Turns } from "./turns.ts";

/** How far a download that waited for another limit may catch up with the others, in bytes. */
const MAX_LAG = 1024 * 1024;
/** For how long downloads count as held back after one was, in milliseconds. */
const HELD_BACK_MS = 1000;

/** How fast upstreams may send: all together, and each. */
export interface MaxRates {
  readonly maxRate?: RateSchedule;
  readonly upstreams: ReadonlyMap<string, { readonly maxRate?: RateSchedule }>;
}

/** A limit, and what is received, in bytes per second. */
export interface RateStatus extends RateInForce {
  readonly used: number;
}

export interface DownloadOptions {
  readonly upstream: string;
  /** What the transfers of one download have in common. */
  readonly blob: string;
  /** Whether no client waits for it now. By default, one does. */
  readonly isBackground?: (() => boolean) | undefined;
}

/**
 * Shares what upstreams may send among downloads. Each transfer asks for its turn before it hands on what it
 * receives; nothing else is read from its socket meanwhile, and so TCP slows the sender down. Turns are given where no limit is in debt: to downloads
 * for clients before those for nobody, and else to the one that has received least (start-time fair queueing,
 * Goyal, Vin and Cheng 1996), however many transfers it consists of.
 */
export class DownloadRates {
  readonly #clock: RateClock;
  readonly #all: RateLimit;
  readonly #limits = new Map<string, RateLimit>();
  readonly #lanes = new Map<string, Lane>();
  /** The tag of the turn that was given last. */
  #virtualTime = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(clock: RateClock = SYSTEM_CLOCK) {
    this.#clock = clock;
    this.#all = new RateLimit(clock);
  }

  /** Holds at once, also for what is being downloaded. */
  configure({ maxRate, upstreams }: MaxRates): void {
    this.#all.configure(maxRate);
    for (const [name, limit] of this.#limits) limit.configure(upstreams.get(name)?.maxRate);
    for (const [name, settings] of upstreams) {
      if (settings.maxRate) this.#limitOf(name).configure(settings.maxRate);
    }
    this.#giveTurns();
  }

  /** Begins a transfer, which has to be closed. */
  open({ upstream, blob, isBackground = () => false }: DownloadOptions): Turns {
    const key = `${upstream} ${blob}`;
    const lane: Lane = this.#lanes.get(key) ?? {
      limits: [this.#all, this.#limitOf(upstream)],
      tag: this.#virtualTime,
      transfers: new Set(),
      waiting: new Set(),
    };
    this.#lanes.set(key, lane);
    return new Turns(lane, {
      isBackground,
      now: () => this.#clock.now(),
      after: (milliseconds, call) => this.#clock.after(milliseconds, call),
      onWaiting: () => this.#wait(lane),
      onChange: () => {
        if (lane.transfers.size === 0) this.#lanes.delete(key);
        this.#giveTurns();
      },
    });
  }

  /** Counts bytes that do not wait for a turn: those of manifests, lists and tokens. */
  received(upstream: string, bytes: number): void {
    for (const limit of [this.#all, this.#limitOf(upstream)]) limit.receivedUnasked(bytes);
  }

  /** Whether limits, and not the line or the sender, are what downloads from an upstream wait for. */
  isHoldingBack(upstream: string): boolean {
    return this.#all.hasHeldBack(HELD_BACK_MS) || this.#limitOf(upstream).hasHeldBack(HELD_BACK_MS);
  }

  /** @param upstream by default, all together */
  status(upstream?: string): RateStatus {
    const limit = upstream === undefined ? this.#all : this.#limitOf(upstream);
    return { ...limit.inForce, used: limit.used };
  }

  #limitOf(upstream: string): RateLimit {
    const limit = this.#limits.get(upstream) ?? new RateLimit(this.#clock);
    this.#limits.set(upstream, limit);
    return limit;
  }

  /** A download that did not wait before begins at the turn of the others: what it left out is not kept. */
  #wait(lane: Lane): void {
    if (lane.waiting.size === 1) lane.tag = Math.max(lane.tag, this.#virtualTime);
    this.#giveTurns();
  }

  #giveTurns(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (;;) {
      let shortest = Infinity;
      let next: Lane | undefined;
      for (const lane of this.#lanes.values()) {
        if (lane.waiting.size === 0) continue;
        const wait = Math.max(...lane.limits.map((limit) => limit.wait()));
        if (wait > 0) shortest = Math.min(shortest, wait);
        else if (!next || precedes(lane, next)) next = lane;
      }
      const [turns] = next?.waiting ?? [];
      if (next && turns) {
        next.tag = Math.max(next.tag, this.#virtualTime - MAX_LAG);
        this.#virtualTime = Math.max(this.#virtualTime, next.tag);
        turns.give();
        continue;
      }
      if (shortest === Infinity) return;
      // Limits change with the time of day.
      const wait = Math.min(Math.ceil(shortest), LOOK_MS);
      this.#cancelTimer = this.#clock.after(wait, () => this.#giveTurns());
      return;
    }
  }
}

function precedes(one: Lane, other: Lane): boolean {
  const [first, second] = [isForNobody(one), isForNobody(other)];
  return first === second ? one.tag < other.tag : second;
}

function isForNobody({ transfers }: Lane): boolean {
  return [...transfers].every((turns) => turns.isBackground);
}
