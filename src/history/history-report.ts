import { BEATS, type Beat, type Saved } from "../api/overview.ts";
import { EventLoopYielder } from "../event-loop/event-loop-yielder.ts";
import {
  DAY_MS,
  type Figures,
  type History,
  type HistoryStep,
  HOUR_MS,
  MINUTE_MS,
  NO_FIGURES,
  type PeriodQuery,
} from "../store/history-store.ts";
import { daysUntilFull } from "./disk-forecast.ts";
import { plus, ratioByBytes, ratioByRequests } from "./figures.ts";
import type { Recorder } from "./recorder.ts";

/** The periods for which savings are told, each in about fifty steps. */
const PERIODS = {
  day: { resolution: MINUTE_MS, step: DAY_MS / BEATS, steps: BEATS },
  week: { resolution: HOUR_MS, step: 4 * HOUR_MS, steps: 42 },
  month: { resolution: HOUR_MS, step: 16 * HOUR_MS, steps: 45 },
} as const;

export type PeriodName = keyof typeof PERIODS;

/** Of so many failures in a hundred requests, a half hour counts as one of failures. */
const FAILING_PERCENT = 10;

/** The steps of one upstream in a period. */
export interface UpstreamPeriod {
  readonly total: Figures;
  /** One for each step, the oldest first. */
  readonly steps: readonly Figures[];
}

export interface PeriodReport {
  /** When the first step begins, in milliseconds of the epoch. */
  readonly from: number;
  readonly step: number;
  /** Since when anything is known, in milliseconds of the epoch. */
  readonly since: number;
  /** How many steps there are. */
  readonly count: number;
  readonly upstreams: ReadonlyMap<string, UpstreamPeriod>;
}

export interface HistoryReportOptions {
  readonly history: Pick<History, "begin" | "upstreams" | "of" | "disk">;
  readonly recorder: Pick<Recorder, "revision" | "minute" | "pending" | "pendingEvicted">;
  /** The upstream whose manifests are counted as pulls. */
  readonly hub: string;
  readonly now?: () => number;
}

/** What the history says of the last day, week and month, until now. */
export class HistoryReport {
  readonly #options: HistoryReportOptions;
  readonly #now: () => number;
  /** What was read, until another minute is written. */
  readonly #read = new Map<PeriodName, { readonly key: string; readonly report: PeriodReport }>();

  constructor(options: HistoryReportOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Of each upstream of which anything is known in the period. */
  async of(name: PeriodName): Promise<PeriodReport> {
    const written = await this.#written(name);
    const pending = await this.#options.recorder.pending();
    const upstreams = new Map(written.upstreams);
    for (const [upstream, figures] of pending) {
      const { steps, total } = upstreams.get(upstream) ?? nothing(PERIODS[name].steps);
      const last = plus(steps.at(-1) ?? NO_FIGURES, figures);
      upstreams.set(upstream, {
        total: plus(total, figures),
        steps: [...steps.slice(0, -1), last],
      });
    }
    return { ...written, upstreams };
  }

  /** What was saved in the period, of all upstreams together. */
  saved({ from, since, step, count, upstreams }: PeriodReport): Saved {
    const all = [...upstreams.values()];
    const total = sum(all.map((one) => one.total));
    const series = seriesOf(all, count);
    const byBytes = ratioByBytes(total);
    const byRequests = ratioByRequests(total);
    return {
      ...(since <= from ? {} : { since }),
      // Each upstream on its own, as the metrics count: what is warmed of one hides nothing of others.
      bytes: all.reduce((bytes, one) => bytes + savedBytes(one.total), 0),
      hubRequests: upstreams.get(this.#options.hub)?.total.manifests_from_cache ?? 0,
      secondsNotWaited: total.saved_ms / 1000,
      ...(byBytes === undefined ? {} : { hitRatioByBytes: byBytes }),
      ...(byRequests === undefined ? {} : { hitRatioByRequests: byRequests }),
      series,
      step,
    };
  }

  /** Bytes that were evicted in the last 24 h, and in how many days the disk is full. */
  async disk(used: number, max: number): Promise<{ evicted: number; fullInDays?: number }> {
    const { history, recorder } = this.#options;
    const now = this.#now();
    const query = { resolution: HOUR_MS, from: now - 7 * DAY_MS, step: HOUR_MS } as const;
    const steps = await history.disk(query);
    const today = steps.filter(({ at }) => at > now - DAY_MS);
    const evicted = today.reduce((bytes, step) => bytes + step.evicted, recorder.pendingEvicted);
    const fullInDays = daysUntilFull([...steps, { at: now, used }], max);
    return { evicted, ...(fullInDays === undefined ? {} : { fullInDays }) };
  }

  async #written(name: PeriodName): Promise<PeriodReport> {
    const { resolution, step, steps } = PERIODS[name];
    const now = this.#now();
    const from = now - (now % step) - (steps - 1) * step;
    const key = `${this.#options.recorder.revision} ${from}`;
    const known = this.#read.get(name);
    if (known?.key === key) return known.report;
    const upstreams = await this.#readAll({ resolution, from, step }, steps);
    const since = (await this.#options.history.begin()) ?? this.#options.recorder.minute;
    const report = { from, since, step, count: steps, upstreams };
    this.#read.set(name, { key, report });
    return report;
  }

  /** One upstream after the other: a day of one is read in a millisecond, and a cache may have a hundred. */
  async #readAll(query: PeriodQuery, steps: number): Promise<Map<string, UpstreamPeriod>> {
    const { history } = this.#options;
    const yielder = new EventLoopYielder();
    const all = new Map<string, UpstreamPeriod>();
    for (const upstream of await history.upstreams()) {
      const read = await history.of(upstream, query);
      if (read.length > 0) all.set(upstream, periodOf(read, query, steps));
      await yielder.pause();
    }
    return all;
  }
}

/** What was sent and not received: what was downloaded for nobody counts against it. */
export function savedBytes({ sent_bytes, fetched_bytes }: Figures): number {
  return Math.max(0, sent_bytes - fetched_bytes);
}

/** What a half hour looked like to whoever asked the upstream. */
export function beatOf({ answered, failed, limited }: Figures): Beat {
  if (limited > 0) return "limited";
  if (answered + failed === 0) return "idle";
  return failed * 100 >= FAILING_PERCENT * (answered + failed) ? "failed" : "ok";
}

/** Bytes saved in each step: of many upstreams, this is no place to add up all figures. */
function seriesOf(all: readonly UpstreamPeriod[], count: number): number[] {
  const saved = Array.from({ length: count }, () => 0);
  for (const { steps } of all) {
    for (const [index, figures] of steps.entries()) {
      saved[index] = (saved[index] ?? 0) + savedBytes(figures);
    }
  }
  return saved;
}

function periodOf(read: readonly HistoryStep[], query: PeriodQuery, count: number): UpstreamPeriod {
  const steps = [...nothing(count).steps];
  for (const { at, figures } of read) {
    const index = Math.floor((at - query.from) / query.step);
    if (index < count) steps[index] = figures;
  }
  return { total: sum(steps), steps };
}

function nothing(count: number): UpstreamPeriod {
  return { total: NO_FIGURES, steps: Array.from({ length: count }, () => NO_FIGURES) };
}

function sum(all: readonly Figures[]): Figures {
  return all.reduce((total, figures) => plus(total, figures), NO_FIGURES);
}
