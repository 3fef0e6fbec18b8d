import { parseSize } from "./units.ts";
import { quote } from "./problems.ts";

export const MINUTES_PER_DAY = 24 * 60;

/** In bytes per second. Below that, a client waits for hours for a layer that its registry would send. */
const MIN_RATE = 1024;

/** A part of each day, in minutes since midnight. It goes on past midnight if it ends before it begins. */
export interface RateWindow {
  readonly from: number;
  /** Exclusive; 1440 for the end of the day. */
  readonly to: number;
  /** In bytes per second. */
  readonly rate: number;
}

/** What a schedule says of a moment. */
export interface RateInForce {
  /** In bytes per second; absent if there is no limit. */
  readonly rate?: number;
  /** The time of day at which that may change: `18:00`. */
  readonly until?: string;
}

/** How many bytes per second may be received, by the local time of day. */
export class RateSchedule {
  readonly #windows: readonly RateWindow[];

  /** @param windows which do not overlap; outside of them, there is no limit */
  constructor(windows: readonly RateWindow[]) {
    this.#windows = windows;
  }

  static always(rate: number): RateSchedule {
    return new RateSchedule([{ from: 0, to: MINUTES_PER_DAY, rate }]);
  }

  /** By what a clock on the wall shows: where that is set forward or back, its hours decide. */
  at(date: Date): RateInForce {
    const minute = date.getHours() * 60 + date.getMinutes();
    const window = this.#windows.find((one) => isWithin(one, minute));
    if (window) {
      const isAlways = isWholeDay(window);
      return { rate: window.rate, ...(isAlways ? {} : { until: formatTimeOfDay(window.to) }) };
    }
    const later = this.#windows.map(({ from }) => from).toSorted((one, other) => one - other);
    const next = later.find((from) => from > minute) ?? later[0];
    return next === undefined ? {} : { until: formatTimeOfDay(next) };
  }

  /** As it may be written in a configuration. */
  toJSON(): unknown {
    const [first] = this.#windows;
    if (first && isWholeDay(first)) return first.rate;
    return this.#windows.map(({ from, to, rate }) => ({
      from: formatTimeOfDay(from),
      to: formatTimeOfDay(to),
      rate,
    }));
  }
}

/** Parses `8:00` to `24:00` to minutes since midnight. */
export function parseTimeOfDay(text: string): number | undefined {
  const [, hours, minutes] = /^\s*(\d{1,2}):(\d\d)\s*$/.exec(text) ?? [];
  const sum = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && sum <= MINUTES_PER_DAY ? sum : undefined;
}

export function formatTimeOfDay(minutes: number): string {
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return `${String(hours).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
}

/** Whether two windows have a minute in common. */
export function doOverlap(one: RateWindow, other: RateWindow): boolean {
  return isWithin(one, other.from) || isWithin(other, one.from);
}

function isWholeDay({ from, to }: RateWindow): boolean {
  return to - from === MINUTES_PER_DAY;
}

/** @param minute from 0 to 1439 */
function isWithin({ from, to }: RateWindow, minute: number): boolean {
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}

/** No valid rate is longer. */
const MAX_LENGTH = 64;
const ADVICE = "write bytes per second with a unit, such as 20MiB";

/** Parses bytes per second, such as `20MiB`; returns what is wrong with the text if it is invalid. */
export function parseRate(text: string): number | string {
  const shown = quote(text);
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH) return `${shown} is not a valid rate: ${ADVICE}`;
  if (/^[\d.]+$/.test(trimmed) && Number(trimmed) > 0) return `${shown} has no unit: ${ADVICE}`;
  if (/^(?:unlimited|infinity|none|off|no)$/i.test(trimmed))
    return `${shown} is not a valid rate: omit it for no limit`;
  if (/^-[\d.]/.test(trimmed)) return `${shown} is negative: ${ADVICE}`;
  const perSecond = /^(.*\S)\s*(?:\/s(?:ec)?|ps)$/i.exec(trimmed)?.[1];
  if (perSecond !== undefined && parseSize(perSecond) !== undefined)
    return `${shown} says "per second" twice: write ${perSecond}`;
  const rate = parseSize(trimmed);
  if (rate === undefined) return `${shown} is not a valid rate: ${ADVICE}${hint(trimmed)}`;
  if (Number.parseFloat(trimmed) === 0)
    return `${shown} would stop every download: ${ADVICE}, or omit it for no limit`;
  if (rate < MIN_RATE) return `${shown} is less than 1 KiB per second: write more, such as 20MiB`;
  if (!Number.isSafeInteger(rate)) return `${shown} is more than any line carries: omit it`;
  return rate;
}

/** Lines are sold in bits, and units are often written in lower case. */
function hint(text: string): string {
  const bits = /^(\d+(?:\.\d+)?)\s*([kmgt])(?:bit|bps|b\/s|bits)/i.exec(text);
  const [, number = "", unit = ""] = bits ?? [];
  if (!bits) return "";
  const eighth = Math.round((Number(number) / 8) * 1000) / 1000;
  return ` (${number} ${unit.toUpperCase()}bit/s are ${eighth}${unit.toUpperCase()}B)`;
}
