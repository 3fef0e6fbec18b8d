import { randomUUID } from "node:crypto";
import type { Log } from "../../telemetry/log.ts";
import { redactLine } from "../../telemetry/redact.ts";
import { parseTraceparent } from "../../telemetry/tracing/trace-context.ts";
import { type ProblemOptions, problemOf } from "./problem-details.ts";

/** What failed. */
interface Attempt {
  /** The id of the operation, or the kind of the job. */
  readonly operation: string;
  /** Of the request, or of the job. */
  readonly id?: string;
  /** Of the request. */
  readonly headers?: Headers;
}

/** Turns what ends an operation into a problem, and logs what nobody has expected. */
export class Failures {
  readonly #log: Pick<Log, "error">;

  constructor(log: Pick<Log, "error">) {
    this.#log = log;
  }

  /** What an error is for the client. One that is no answer to the request is logged, so that it can be found. */
  problem(error: unknown, { operation, headers, id = randomUUID() }: Attempt): ProblemOptions {
    const expected = problemOf(error);
    if (expected) return expected;
    const traceId = parseTraceparent(headers?.get("traceparent") ?? "")?.traceId;
    this.#log.error(
      { operation, request: id, ...(traceId && { trace_id: traceId }), err: error },
      "an operation of the admin API failed",
    );
    const message = error instanceof Error ? error.message : String(error);
    return {
      status: 500,
      detail: redactLine(message),
      next: `look for ${id} in the log of the cache, and try again`,
      instance: `urn:uuid:${id}`,
    };
  }
}
