import { Counters } from "../telemetry/counters.ts";

/** What is beside the upstreams. */
export type NearKind = "replica" | "store";

/** What a replica counts of its cluster. */
export class ClusterCounters {
  readonly sourceBytes = new Counters();
  readonly sourceFailures = new Counters();
  readonly replicaAnswers = new Counters();
  readonly redirects = new Counters();
  readonly evictions = new Counters();

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

  /** Another replica has asked, and was answered with this status. */
  answered(status: number): void {
    this.replicaAnswers.add([String(status)]);
  }
}
