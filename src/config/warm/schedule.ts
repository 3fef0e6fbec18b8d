import type * as Croner from "croner";
import { quote } from "../parsing/problems.ts";

/** When something is done, again and again. */
export interface Schedule {
  /** As it was written. */
  readonly text: string;
  /** Of the clock that counts; that of the machine if it is absent. */
  readonly timezone?: string;
  /** The next time after a moment; both in milliseconds of the epoch. */
  next(after: number): number;
}

const EXAMPLE = 'write five fields, such as "0 3 * * *" for 3:00 of each day, or @daily';

/**
 * Parses what cron has: minute, hour, day of the month, month and day of the week; or @hourly, @daily,
 * @weekly, @monthly, @yearly.
 *
 * @returns for anything else why, which goes on after the text
 */
export function parseSchedule(written: string, timezone?: string): Schedule | string {
  const text = written.trim();
  let cron: Croner.Cron;
  try {
    cron = compile(text, timezone);
  } catch (error) {
    return `is no schedule${reasonOf(text, error)}: ${EXAMPLE}`;
  }
  if (cron.nextRun() === null) return `never comes: ${EXAMPLE}`;
  return {
    text,
    ...(timezone === undefined ? {} : { timezone }),
    next: (after) => cron.nextRun(new Date(after))?.getTime() ?? Infinity,
  };
}

/** The library's reason, where it is about this field; it allows for seconds and years otherwise. */
function reasonOf(text: string, error: unknown): string {
  if (text.startsWith("@")) return "";
  const count = text === "" ? 0 : text.split(/\s+/).length;
  if (count !== 5) return ` (it has ${count} ${count === 1 ? "field" : "fields"})`;
  return error instanceof Error ? ` (${error.message.replace(/^CronPattern: /, "")})` : "";
}

/** Whether it is one of the IANA database, such as `Europe/Berlin`. */
export function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

export function timezoneProblem(name: string): string {
  return `${quote(name)} is no time zone: write one such as Europe/Berlin or UTC, or omit it for that of this machine`;
}

/** Loaded only where something is scheduled. */
function compile(text: string, timezone: string | undefined): Croner.Cron {
  // The types of the package are those of what it exports.
  const croner = require("croner") as typeof Croner;
  return new croner.Cron(text, {
    paused: true,
    mode: "5-part",
    ...(timezone === undefined ? {} : { timezone }),
  });
}
