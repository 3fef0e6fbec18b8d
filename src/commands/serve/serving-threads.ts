import type { ProcessKey } from "../../access/process-key.ts";
import type { Cache } from "../../cache/cache.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Settings } from "../../config/settings.ts";
import type { DescriptorBudget } from "../../process/file-descriptors.ts";
import type { MemoryPlan } from "../../process/memory-plan.ts";
import { availableProcessors } from "../../process/processors.ts";
import { spareThreads, threadLimit } from "../../process/thread-limit.ts";
import { workerPlan } from "../../process/worker-plan.ts";
import type { ConnectionGateOptions } from "../../server/listen/connection-gate.ts";
import { canShare } from "../../server/listen/listening-sockets.ts";
import type { RequestRecord } from "../../server/pull/request-record.ts";
import type { ResponseCache } from "../../server/pull/response-cache.ts";
import { HitWorkers } from "../../server/threads/hit-workers.ts";
import type { Hits } from "../../server/threads/messages.ts";
import { programFile } from "../../process/program-file.ts";
import { SharedRemovalLog, RevisionMemory } from "../../server/threads/revision-memory.ts";
import type { SmallBlobCacheOptions } from "../../store/memory/small-blob-cache.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Tracer } from "../../telemetry/tracing/tracer.ts";

export interface ServingThreadsOptions {
  readonly memory: Pick<MemoryPlan, "limit">;
  readonly descriptors: DescriptorBudget;
  readonly log: Log;
}

/** What the workers need of the main thread. */
export interface WorkersOptions {
  readonly storage: Storage;
  readonly responses: ResponseCache;
  readonly key: ProcessKey;
  readonly cache: Cache;
  readonly record: (record: RequestRecord) => void;
  readonly unreadable: (error: Error) => void;
  readonly tracer: Tracer | undefined;
}

/** Puts the threads together that accept connections, where there are others than the main thread. */
export class ServingThreads {
  readonly #count: number;
  readonly #log: Log;
  readonly #shared = new RevisionMemory();
  #responses: ResponseCache | undefined;

  private constructor(count: number, log: Log) {
    this.#count = count;
    this.#log = log;
  }

  /** None if the main thread is to accept all connections. */
  static plan(
    wanted: Settings["workers"],
    { memory, descriptors, log }: ServingThreadsOptions,
  ): ServingThreads | undefined {
    if (wanted === 1) return undefined;
    const { count, reason } = workerPlan(wanted, {
      processors: availableProcessors(),
      memory: memory.limit,
      canShareSockets: canShare(),
      areDescriptorsFew: descriptors.areFew,
      threads: spareThreads(threadLimit()),
    });
    if (reason !== undefined) log.warn({ wanted, workers: count, reason }, "fewer workers");
    return count === 1 ? undefined : new ServingThreads(count, log);
  }

  get forBlobs(): Pick<SmallBlobCacheOptions, "removals"> {
    return { removals: new SharedRemovalLog(this.#shared) };
  }

  get forGate(): Pick<ConnectionGateOptions, "onLook"> {
    return {
      onLook: (isScarce) => {
        this.#shared.isScarce = isScarce;
      },
    };
  }

  /** Makes the workers. They are started once the ports are open. */
  workers(options: WorkersOptions): HitWorkers {
    const { storage, responses, unreadable } = options;
    const log = this.#log;
    this.#responses = responses;
    this.publish();
    storage.metadata.onRevision(() => this.publish());
    const workers = new HitWorkers({
      count: this.#count,
      program: programFile("hit-worker"),
      shared: this.#shared,
      key: options.key,
      onHits: (hits) => recordHits(hits, options),
      unreadable,
      onDeath: ({ reason, isLast }) =>
        log.error(
          { reason },
          isLast
            ? "a worker thread ended too often: it is not started again"
            : "a worker thread ended, and its connections with it: it is started again",
        ),
    });
    return workers;
  }

  /** Has the workers look whether the responses that they keep are still valid. */
  publish(): void {
    if (this.#responses) this.#shared.revision = this.#responses.snapshot.revision;
  }
}

const WORKERS_HELP =
  "Threads that accept connections of nodes, besides the main thread; 0 if that one does.";

export function measureWorkers(metrics: Metrics, workers: () => HitWorkers | undefined): void {
  metrics.gauge("entrepot_workers", WORKERS_HELP, () => workers()?.ready ?? 0);
}

function recordHits(
  all: readonly Hits[],
  { cache, record, tracer }: Pick<WorkersOptions, "cache" | "record" | "tracer">,
): void {
  for (const { path, route, digest, size, access, principal, held, requests } of all) {
    cache.recordAccess(digest);
    for (const hit of requests) {
      const { milliseconds: millisecondsToFirstByte } = hit;
      const sent = { status: 200, bytes: size, millisecondsToFirstByte, result: "hit" } as const;
      const span = tracer?.pull("GET", hit.traceparent, hit.at);
      const by = {
        access,
        ...(principal === undefined ? {} : { principal }),
        ...(held === undefined ? {} : { held }),
      };
      record({ method: "GET", path, route, digest, span, ...sent, ...by, ...hit });
    }
  }
}
