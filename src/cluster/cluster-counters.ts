import { Counters } from "../telemetry/counters.ts";
import { Histogram } from "../telemetry/histogram.ts";

/** In seconds. A question takes a millisecond, and is given up after 0.1 s. */
const QUESTION_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
/** In seconds. A small blob takes some milliseconds, one of 5 GiB a minute. */
const PUT_BUCKETS = [0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60, 300];

/** What is beside the upstreams. */
export type NearKind = "replica" | "store";

/** What a replica counts of its cluster. */
export class ClusterCounters {
  readonly sourceBytes = new Counters();
  readonly sourceFailures = new Counters();
  readonly replicaAnswers = new Counters();
  readonly redirects = new Counters();
  readonly evictions = new Counters();
  readonly questionDurations = new Histogram(
    {
      name: "entrepot_ledger_question_duration_seconds",
      help: "Time that requests waited for an answer of the ledger, by whether it came in time.",
      label: "result",
    },
    QUESTION_BUCKETS,
  );
  readonly putDurations = new Histogram(
    {
      name: "entrepot_store_put_duration_seconds",
      help: "Time that the shared store took to take a blob.",
      label: "result",
    },
    PUT_BUCKETS,
  );
  #awaySeconds = 0;

  received(source: NearKind, bytes: number): void {
    this.sourceBytes.add([source], bytes);
  }

  /** @param reason one of a few: the kind of a fault */
  failed(source: NearKind, reason: string): void {
    this.sourceFailures.add([source, reason]);
  }

  /** A client was sent to the shared store. */
  redirected(): void {
    this.redirects.add([]);
  }

  /** So many objects were deleted from the shared store to keep it within its limit. */
  evicted(objects: number): void {
    this.evictions.add([], objects);
  }

  askedLedger(milliseconds: number, isAnswered: boolean): void {
    this.questionDurations.observe(isAnswered ? "answered" : "late", milliseconds / 1000);
  }

  /** A blob was written to the shared store. */
  wrote(milliseconds: number): void {
    this.putDurations.observe("stored", milliseconds / 1000);
  }

  /** The ledger is up again, after so long. */
  ledgerWasAway(milliseconds: number): void {
    this.#awaySeconds += Math.max(0, milliseconds / 1000);
  }

  /** How long the ledger was away, without the present time. */
  get ledgerAwaySeconds(): number {
    return this.#awaySeconds;
  }

  /** Another replica has asked, and was answered with this status. */
  answered(status: number): void {
    this.replicaAnswers.add([String(status)]);
  }
}
