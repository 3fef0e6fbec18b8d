import { Cache, type CacheObserver, type CacheOptions } from "../../cache/cache.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Settings } from "../../config/settings.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import { hasRoomForThread, type MemoryPlan } from "../../process/memory-plan.ts";
import type { SmallBlobCache } from "../../store/memory/small-blob-cache.ts";
import type { Log } from "../../telemetry/log.ts";
import { DownloadThread } from "../../upstream/download-thread/download-thread.ts";
import {
  openRegistryTransport,
  type RegistryTransportOptions,
} from "../../upstream/registry-transport.ts";
import type { RequestReporter } from "./request-reporter.ts";
import { Upstreams } from "./upstreams.ts";

export function connectUpstreams(
  settings: Settings,
  reporter: RequestReporter,
  reread: RegistryTransportOptions["reread"],
  limits: Pick<
    RegistryTransportOptions,
    "budget" | "concurrency" | "descriptors" | "downloads" | "rates"
  >,
): Upstreams {
  const transport = openRegistryTransport({
    observe: (event) => reporter.upstream(event),
    ...limits,
    ...(reread ? { reread } : {}),
  });
  return new Upstreams(settings.upstreams, transport);
}

/** What receives blobs; `undefined` if there is no memory for it. */
export function openDownloadThread(
  { limit, received }: MemoryPlan,
  budget: ByteBudget,
  log: Log,
): DownloadThread | undefined {
  if (!hasRoomForThread(limit)) return undefined;
  return new DownloadThread({
    limit: received,
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

export function createCache(
  storage: Storage,
  store: SmallBlobCache,
  observer: CacheObserver,
  options: Required<Pick<CacheOptions, "quarantine" | "times">> & { readonly memory: MemoryPlan },
): Cache {
  const { metadata, sidecars, quotas, lastAccess, hasRoomFor } = storage;
  return new Cache({
    store,
    metadata,
    sidecars,
    quotaEvents: quotas,
    observer,
    hasRoomFor,
    ...options,
    recordAccess: (digest) => lastAccess.touch(digest, Date.now()),
  });
}
