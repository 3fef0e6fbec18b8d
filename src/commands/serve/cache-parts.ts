import type { CacheObserver, CacheOptions } from "../../cache/cache-options.ts";
import { Cache } from "../../cache/cache.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Settings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { DescriptorBudget } from "../../process/file-descriptors.ts";
import { hasRoomForThread, type MemoryPlan } from "../../process/memory-plan.ts";
import { spareThreads, threadLimit } from "../../process/thread-limit.ts";
import type { SmallBlobCache } from "../../store/memory/small-blob-cache.ts";
import type { Log } from "../../telemetry/log.ts";
import { DownloadThread } from "../../upstream/download-thread/download-thread.ts";
import {
  openRegistryTransport,
  type RegistryTransportOptions,
} from "../../upstream/registry-transport.ts";
import { Outages } from "../../upstream/outages.ts";
import type { RequestReporter } from "./request-reporter.ts";
import { Upstreams } from "./upstreams.ts";

export function connectUpstreams(
  settings: Settings,
  reporter: RequestReporter,
  reread: RegistryTransportOptions["reread"],
  limits: Pick<
    RegistryTransportOptions,
    | "budget"
    | "concurrency"
    | "descriptors"
    | "downloads"
    | "pooledLimits"
    | "rates"
    | "replicas"
    | "tracer"
  >,
): Upstreams {
  const outages = new Outages();
  const transport = openRegistryTransport({
    outages,
    observe: (event) => reporter.upstream(event),
    ...limits,
    ...(reread ? { reread } : {}),
  });
  return new Upstreams(settings.upstreams, transport, outages);
}

/** One, and one that collects its garbage. */
const THREADS = 2;

export interface DownloadThreadConditions {
  readonly memory: Pick<MemoryPlan, "limit" | "received">;
  readonly descriptors: Pick<DescriptorBudget, "areFew">;
  /** How many more threads there may be. */
  readonly threads: number;
  /** For downloads by the main thread. */
  readonly budget: ByteBudget;
  readonly log: Log;
}

/**
 * What receives blobs; `undefined` if there is no memory for it, or if there may be no file descriptor or no thread left
 * when it starts: then Bun aborts.
 */
export function openDownloadThread({
  memory,
  descriptors,
  threads,
  budget,
  log,
}: DownloadThreadConditions): DownloadThread | undefined {
  if (!hasRoomForThread(memory.limit) || descriptors.areFew || threads < THREADS) return undefined;
  return new DownloadThread({
    limit: memory.received,
    budget,
    onLost: ({ reason, isLast }) =>
      log.error(
        { reason },
        isLast
          ? "the thread that receives blobs failed too often, or cannot be started: the main thread does"
          : "the thread that receives blobs failed: downloads resume",
      ),
  });
}

/** What registries send goes through: to the thread that receives blobs, where there is one. */
export function openReceiving(
  conditions: Omit<DownloadThreadConditions, "threads" | "descriptors"> & {
    readonly descriptors: DescriptorBudget;
  },
  closing: AsyncDisposableStack,
) {
  const threads = spareThreads(threadLimit());
  const thread = closing.use(openDownloadThread({ ...conditions, threads }));
  const downloads = thread?.downloads.bind(thread);
  const { budget, descriptors } = conditions;
  return { thread, transport: { budget, descriptors, ...(downloads && { downloads }) } };
}

export function createCache(
  storage: Storage,
  store: SmallBlobCache,
  observer: CacheObserver,
  options: Required<Pick<CacheOptions, "quarantine" | "times">> &
    Pick<
      CacheOptions,
      | "near"
      | "tagNews"
      | "manifestNews"
      | "imageNews"
      | "onFetched"
      | "tagChanges"
      | "tracer"
      | "isDivided"
      | "tagPolicy"
      | "holdObserver"
    > & {
      /** To be told what is served, besides the store. */
      readonly onUsed?: ((digest: Digest) => void) | undefined;
      readonly memory: MemoryPlan;
    },
): Cache {
  const { metadata, sidecars, quotas, lastAccess, hasRoomFor } = storage;
  const { onUsed } = options;
  const touch = (digest: Digest): void => lastAccess.touch(digest, Date.now());
  const cache = new Cache({
    store,
    metadata,
    sidecars,
    restoring: () => storage.rebuildState.restoring,
    quotaEvents: quotas,
    observer,
    hasRoomFor,
    ...options,
    recordAccess: onUsed
      ? (digest) => {
          touch(digest);
          onUsed(digest);
        }
      : touch,
  });
  storage.pinned.keepServed({
    get revision() {
      return options.tagPolicy?.revision ?? 0;
    },
    of: cache.servedDigest.bind(cache),
  });
  return cache;
}
