import type { Fault } from "../../oci/fault.ts";
import type { Log } from "../../telemetry/log.ts";

/** Without a failure for this long, the database counts as well again, in milliseconds. */
const WELL_AFTER_MS = 5000;
const CHECK_INTERVAL_MS = 500;

/**
 * Whether the metadata database answers. While it does not, pulls go on: what is unknown is asked of
 * the registries. Each change is logged once, however many requests notice it.
 */
export class MetadataHealth {
  readonly #log: Log;
  #failure: { readonly reason: string; at: number } | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** What is wrong, for an operator; `undefined` if nothing is. */
  get problem(): string | undefined {
    return this.#failure?.reason;
  }

  failed(fault: Fault): void {
    if (this.#failure) {
      this.#failure.at = performance.now();
      return;
    }
    this.#failure = { reason: fault.message, at: performance.now() };
    const message =
      "the metadata database fails: what it knows is asked of the registries meanwhile";
    this.#log.error({ error: fault.message }, message);
    this.#timer = setInterval(() => this.#check(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  #check(): void {
    if (!this.#failure || performance.now() - this.#failure.at < WELL_AFTER_MS) return;
    this.#failure = undefined;
    clearInterval(this.#timer);
    this.#log.info("the metadata database is well again");
  }
}
