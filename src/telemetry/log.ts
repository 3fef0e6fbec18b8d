import { type DestinationStream, type Logger, pino } from "pino";
import { Fault } from "../oci/fault.ts";
import { printableLines } from "../printable.ts";
import { BufferedOutput } from "./buffered-output.ts";
import { redactLine } from "./redact.ts";
import { formatTextLine } from "./text-format.ts";

export interface Log extends Logger {
  /** Writes a formatted, already redacted JSON line, such as those of `RequestLines`. */
  readonly line: (line: string) => void;
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface LogOptions {
  /** `json`: one JSON object per line; `text`: readable lines for a terminal. */
  readonly format: "json" | "text";
  readonly level: LogLevel | (string & {});
  /** Receives one line per call. Default: standard output. */
  readonly stream?: DestinationStream;
  /** Whether text lines have colours. Default: on a terminal, unless `NO_COLOR` is set. */
  readonly colours?: boolean;
}

/** Number of buffered characters that triggers a write, for JSON. Text lines are written immediately. */
const JSON_BUFFER_LENGTH = 64 * 1024;

/** How many nested causes of an error are logged. */
const MAX_CAUSES = 5;

/**
 * Creates a log. It never blocks the caller, flushes its buffer when the process exits, and redacts
 * secrets, credentials and query strings in fields, messages and stack traces.
 */
export function createLog(options: LogOptions): Log {
  const { format, level, colours = supportsColours() } = options;
  const output =
    options.stream ?? new BufferedOutput({ minLength: format === "json" ? JSON_BUFFER_LENGTH : 0 });
  const stream = format === "json" ? output : asText(output, colours);
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => describeError(error, 0) },
      // Logs are read in terminals, too, where JSON does not escape what begins an escape sequence.
      hooks: { streamWrite: (line) => printableLines(redactLine(line)) },
    },
    stream,
  );
  return Object.assign(logger, { line: (line: string) => stream.write(line) });
}

/** Follows https://no-color.org. */
function supportsColours(): boolean {
  return process.stdout.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
}

function asText(stream: DestinationStream, hasColours: boolean): DestinationStream {
  return { write: (line) => stream.write(formatTextLine(line, hasColours)) };
}

/** A `Fault`, and what the system says that caused it, is an answer: where it was found helps nobody to mend it. */
function describeError(error: unknown, depth: number, isOfFault = false): unknown {
  if (!(error instanceof Error)) return error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const isFault = error instanceof Fault;
  const isAnswer = isFault || (isOfFault && "code" in code);
  const hasCause = depth < MAX_CAUSES && error.cause !== undefined;
  return {
    type: error.name,
    message: error.message,
    ...code,
    ...(isAnswer ? {} : { stack: error.stack }),
    ...(hasCause ? { cause: describeError(error.cause, depth + 1, isAnswer) } : {}),
  };
}
