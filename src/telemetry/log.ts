import { type DestinationStream, type Logger, pino } from "pino";
import { Output } from "./buffered-output.ts";
import { redactLine } from "./redact.ts";
import { formatTextLine } from "./text-format.ts";

export interface Log extends Logger {
  /** Takes a line of JSON that needs nothing more: one of `RequestLines`, freed of secrets there. */
  readonly line: (line: string) => void;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface LogOptions {
  /** `json`: an object per line, for machines; `text`: for a person at a terminal. */
  readonly format: "json" | "text";
  readonly level: LogLevel | (string & {});
  /** Where lines go, one call each; standard output unless given. */
  readonly stream?: DestinationStream;
  /** Colours in text; on a terminal that wants them unless given. */
  readonly colours?: boolean;
}

/** Characters of JSON that are collected before they are written; a person sees each line at once. */
const BUFFERED = 64 * 1024;

/** Causes and parts of an error that are logged, counted in steps down from it. */
const MAX_CAUSES = 5;

/**
 * A log. It writes without making the caller wait, flushes what is left when the process exits, and
 * keeps secrets, credentials and query strings out, be it in fields, messages or stacks.
 */
export function createLog(options: LogOptions): Log {
  const { format, level, colours = wantsColours() } = options;
  const output = options.stream ?? new Output({ minLength: format === "json" ? BUFFERED : 0 });
  const stream = format === "json" ? output : asText(output, colours);
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error, 0) },
      hooks: { streamWrite: redactLine },
    },
    stream,
  );
  return Object.assign(logger, { line: (line: string) => stream.write(line) });
}

/** https://no-color.org */
function wantsColours(): boolean {
  return process.stdout.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
}

function asText(stream: DestinationStream, hasColours: boolean): DestinationStream {
  return { write: (line) => stream.write(formatTextLine(line, hasColours)) };
}

function describeError(error: unknown, depth: number): unknown {
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const inner = depth < MAX_CAUSES && error.cause !== undefined;
  return {
    type: error.name,
    message: error.message,
    ...code,
    stack: error.stack,
    ...(inner ? { cause: describeError(error.cause, depth + 1) } : {}),
  };
}
