import { z } from "zod";
import { quote } from "./parsing/problems.ts";
import {
  doOverlap,
  formatTimeOfDay,
  MINUTES_PER_DAY,
  parseRate,
  parseTimeOfDay,
  RateSchedule,
  type RateWindow,
} from "./parsing/rate-schedule.ts";

const MAX_WINDOWS = 24;
const EXAMPLE = '{ from: "08:00", to: "18:00", rate: 20MiB }';
const SIZE_PATTERN = String.raw`^\s*\d+(?:\.\d+)?\s?(?:B|[KMGT]B|[KMGT]iB?)\s*$`;
const TIME_PATTERN = String.raw`^\s*(?:[01]?\d|2[0-3]):[0-5]\d\s*$|^\s*24:00\s*$`;

const text = (description: string, pattern: string) => ({ type: "string", description, pattern });

/** For editors. What a file has is checked below, with messages that say what to write. */
const WINDOW_SCHEMA = {
  type: "object",
  properties: {
    from: text("The time of day from which the rate holds: hours and minutes.", TIME_PATTERN),
    to: text(
      "The time of day up to which it holds, 24:00 for the end of the day. Before from: on the next day.",
      TIME_PATTERN,
    ),
    rate: text("Bytes per second, with a unit.", SIZE_PATTERN),
  },
  required: ["from", "to", "rate"],
  additionalProperties: false,
};

type Report = (message: string, ...at: (string | number)[]) => void;

/** A rate, or rates by the time of day. */
export const maxRate = z
  .unknown()
  .transform((value, context): RateSchedule => {
    let isValid = true;
    const report: Report = (message, ...path) => {
      isValid = false;
      context.addIssue({ code: "custom", message, path });
    };
    const schedule = Array.isArray(value) ? readWindows(value, report) : readRate(value, report);
    return isValid && schedule ? schedule : z.NEVER;
  })
  .meta({
    anyOf: [
      { type: "string", pattern: SIZE_PATTERN },
      { type: "array", items: WINDOW_SCHEMA, minItems: 1, maxItems: MAX_WINDOWS },
    ],
  });

function readRate(value: unknown, report: Report): RateSchedule | undefined {
  if (typeof value !== "string" && typeof value !== "number") {
    report(`must be a rate, such as 20MiB, or a list, such as [${EXAMPLE}]. Omit it for no limit`);
    return undefined;
  }
  const rate = parseRate(String(value));
  if (typeof rate === "number") return RateSchedule.always(rate);
  report(rate);
  return undefined;
}

function readWindows(values: readonly unknown[], report: Report): RateSchedule | undefined {
  if (values.length === 0) report(`is empty: add ${EXAMPLE}, or omit it for no limit`);
  if (values.length > MAX_WINDOWS) {
    report(`has too many entries: the maximum is ${MAX_WINDOWS}`);
    return undefined;
  }
  const windows: RateWindow[] = [];
  for (const [index, value] of values.entries()) {
    const window = readWindow(value, (message, ...at) => report(message, index, ...at));
    if (!window) continue;
    const other = windows.find((earlier) => doOverlap(earlier, window));
    if (other) {
      const [from, to] = [formatTimeOfDay(other.from), formatTimeOfDay(other.to)];
      report(`overlaps ${from} to ${to} above: each time of day can have one rate`, index);
    }
    windows.push(window);
  }
  return new RateSchedule(windows);
}

function readWindow(value: unknown, report: Report): RateWindow | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    report(`must be a mapping, such as ${EXAMPLE}`);
    return undefined;
  }
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(WINDOW_SCHEMA.properties, key))
      report(`unknown key ${quote(key)}. Allowed keys: from, to, rate`);
  }
  const { from, to, rate }: { from?: unknown; to?: unknown; rate?: unknown } = value;
  const [begin, end] = [readTime("from", from, report), readTime("to", to, report)];
  const bytes = readScalar("rate", rate, "such as 20MiB", report);
  const parsed = bytes === undefined ? undefined : parseRate(bytes);
  if (typeof parsed === "string") report(parsed, "rate");
  if (begin === MINUTES_PER_DAY) {
    report("24:00 is the end of a day: write 00:00, at which the next one begins", "from");
    return undefined;
  }
  if (begin === undefined || end === undefined || typeof parsed !== "number") return undefined;
  if (begin !== end) return { from: begin, to: end, rate: parsed };
  report('is the same as from: for the whole day, write from: "00:00" and to: "24:00"', "to");
  return undefined;
}

function readTime(key: "from" | "to", value: unknown, report: Report): number | undefined {
  const written = readScalar(key, value, 'such as "08:00"', report);
  if (written === undefined) return undefined;
  const minutes = parseTimeOfDay(written);
  if (minutes === undefined) {
    const advice = 'write hours and minutes from 00:00 to 24:00, such as "08:00"';
    report(`${quote(written)} is not a time of day: ${advice}`, key);
  }
  return minutes;
}

function readScalar(
  key: string,
  value: unknown,
  example: string,
  report: Report,
): string | undefined {
  if (typeof value === "string" || typeof value === "number") return String(value);
  if (value === undefined || value === null) report(`is missing: write ${key}, ${example}`, key);
  else report(`must be a string, ${example}`, key);
  return undefined;
}
