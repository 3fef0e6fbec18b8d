import { formatSize } from "../config/parsing/units.ts";
import type { Log } from "../telemetry/log.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { ClusterProblems } from "./cluster-problems.ts";
import type { ObjectCount } from "./objects/object-ledger.ts";
import { LedgerAwayError } from "./ledger/ledger.ts";
import type { Reconciled, SharedRetentionEvents } from "./retention/retention-events.ts";

export interface RetentionReporterOptions {
  readonly log: Log;
  readonly problems: ClusterProblems;
  readonly counters: ClusterCounters;
  /** The bucket, as the configuration has it. */
  readonly subject: string;
}

/** Logs and counts what becomes of the shared store's objects. */
export class RetentionReporter implements SharedRetentionEvents {
  readonly #options: RetentionReporterOptions;

  constructor(options: RetentionReporterOptions) {
    this.#options = options;
  }

  evicted({ objects, bytes }: ObjectCount): void {
    const { log, counters } = this.#options;
    counters.evicted(objects);
    log.info({ objects, bytes }, "evicted from the shared store");
  }

  fullOfPins(bytes: number, maxSize: number): void {
    const { problems, subject } = this.#options;
    const detail = `${formatSize(bytes)} of ${formatSize(maxSize)} cannot be evicted`;
    problems.notice("store-pinned", subject, detail);
  }

  deletionRefused(reason: string): void {
    this.#options.problems.notice("store-undeletable", this.#options.subject, reason);
  }

  listed(found: Reconciled): void {
    const { log } = this.#options;
    const isUnchanged = found.adopted + found.lost + found.concealed === 0;
    log[isUnchanged ? "debug" : "info"]({ ...found }, "compared the shared store with its ledger");
    if (found.concealed > 0) {
      log.warn(
        { concealed: found.concealed },
        "the shared store's list lacks objects that it has: they are kept",
      );
    }
  }

  failed(task: string, error: unknown): void {
    const { log } = this.#options;
    // That it is away is told elsewhere.
    const level = error instanceof LedgerAwayError ? "debug" : "warn";
    log[level]({ err: error }, `${task} failed; it will be retried`);
  }
}
