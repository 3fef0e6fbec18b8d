import { parseDuration } from "../../config/parsing/units.ts";

/** A moment that somebody wrote, in milliseconds of the epoch. */
export interface Moment {
  readonly at: number;
  /** How it was understood; absent where it could not be understood otherwise. */
  readonly understood?: string;
}

const DAY = /^(\d{4})-(\d\d)-(\d\d)$/;
/** As ISO 8601 has it, with a space for the T as people write it. */
const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?\s?(Z|[+-]\d\d:?\d\d)?$/i;

/** What can be written, for messages. */
export const PAST_FORMS = "2026-11-20, 2026-11-20T14:30, yesterday, now, or 3d for three days ago";
export const FUTURE_FORMS = "7d for seven days, 2026-12-24, or 2026-12-24T18:00";

/**
 * A moment that is over: a day stands for its end, since what a tag was on that day is what it was at last.
 *
 * @param now in milliseconds of the epoch
 * @returns undefined if the text is none of `PAST_FORMS`
 */
export function parsePast(text: string, now: number): Moment | undefined {
  const written = text.trim();
  if (written.toLowerCase() === "now") return { at: now };
  const duration = parseDuration(written);
  if (duration !== undefined) return understood(now - duration);
  if (written.toLowerCase() === "yesterday") {
    const today = new Date(now);
    const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate());
    return understood(midnight.getTime() - 1);
  }
  const end = endOfDay(written);
  // Of a day that is not over, what is known is what there is now.
  if (end !== undefined) return understood(startOfDay(end) <= now ? Math.min(end, now) : end);
  return timeOf(written);
}

/**
 * The end of something that begins now.
 *
 * @param now in milliseconds of the epoch
 * @returns undefined if the text is none of `FUTURE_FORMS`
 */
export function parseFuture(text: string, now: number): Moment | undefined {
  const written = text.trim();
  const duration = parseDuration(written);
  if (duration !== undefined) return understood(now + duration);
  const end = endOfDay(written);
  return end === undefined ? timeOf(written) : understood(end);
}

/** `2026-11-29 10:04`, in the time zone of whoever reads. */
export function localTime(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `Europe/Berlin` */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function understood(at: number): Moment {
  return { at, understood: `${localTime(at)} ${localZone()}` };
}

/** The last millisecond of a day, in the local time zone. */
function endOfDay(text: string): number | undefined {
  const [, year, month, day] = DAY.exec(text) ?? [];
  if (year === undefined) return undefined;
  const [y, m, d] = [Number(year), Number(month) - 1, Number(day)];
  const date = new Date(y, m, d);
  // A day that there is not would be taken for one of the next month.
  if (date.getMonth() !== m || date.getDate() !== d) return undefined;
  return new Date(y, m, d + 1).getTime() - 1;
}

function startOfDay(at: number): number {
  const date = new Date(at);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** A day and a time; without a zone, in the local one. */
function timeOf(text: string): Moment | undefined {
  const [, day = "", minutes = "", seconds = "", zone = ""] = TIME.exec(text) ?? [];
  if (endOfDay(day) === undefined) return undefined;
  const at = Date.parse(`${day}T${minutes}${seconds}${zone.toUpperCase()}`);
  return Number.isNaN(at) ? undefined : understood(at);
}
