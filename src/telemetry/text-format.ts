import { printable } from "../printable.ts";

/** Converts JSON log lines to readable lines for a terminal. */

const COLOURS: Readonly<Record<string, number>> = {
  debug: 90,
  info: 36,
  warn: 33,
  error: 31,
  fatal: 31,
};
const GREY = 90;

/** Formats `12:34:56.789 WARN  message key=value`, followed by the stack trace of an error. */
export function formatTextLine(json: string, hasColours: boolean): string {
  const { level, time, msg, err, ...fields } = readFields(json);
  const paint = (text: string, colour: number | undefined) =>
    hasColours && colour !== undefined ? `\u001b[${colour}m${text}\u001b[0m` : text;

  const name = typeof level === "string" ? level : "info";
  const clock = typeof time === "string" ? paint(localTime(time), GREY) : "";
  const parts = [clock, paint(name.toUpperCase().padEnd(5), COLOURS[name])];
  const error = isFields(err) ? err : undefined;
  parts.push(
    printable([msg, error?.["message"]].filter((text) => typeof text === "string").join(": ")),
  );
  for (const [key, value] of Object.entries(fields)) {
    parts.push(`${paint(`${printable(key)}=`, GREY)}${formatValue(value)}`);
  }
  const stack = name === "error" || name === "fatal" ? error?.["stack"] : undefined;
  const frames = typeof stack === "string" ? stack.split("\n").slice(1) : [];
  const stackLines = frames.map((frame) => paint(`    ${printable(frame.trim())}`, GREY));
  return `${[parts.filter(Boolean).join(" "), ...stackLines].join("\n")}\n`;
}

function readFields(json: string): Record<string, unknown> {
  const value: unknown = JSON.parse(json);
  return isFields(value) ? value : {};
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function formatValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return printable(value);
  return printable(JSON.stringify(value) ?? "");
}

function localTime(iso: string): string {
  const date = new Date(iso);
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${date.toTimeString().slice(0, 8)}.${milliseconds}`;
}
