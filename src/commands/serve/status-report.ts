import { accessWarnings, upstreamAccess } from "../../access/upstream-access.ts";
import type { Fill } from "../../cache/fill/fill.ts";
import type { Fills } from "../../cache/fill/fills.ts";
import type { Siblings } from "../../cache/siblings/siblings.ts";
import type { Usefulness } from "../../cache/siblings/usefulness.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { ClusterStatus } from "../../cluster/cluster-status.ts";
import type { Settings } from "../../config/settings.ts";
import { formatSize } from "../../config/parsing/units.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { DescriptorBudget } from "../../process/file-descriptors.ts";
import type { MemoryPlan } from "../../process/memory-plan.ts";
import { diskUsage } from "../../store/space/disk-usage.ts";
import { LOW_WATER, MAX_METADATA } from "../../store/space/fill-level.ts";
import type { LocalProblems } from "../../telemetry/local-problems.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { CacheResult } from "../../telemetry/request-counters.ts";
import type { Failure } from "../../upstream/health/circuit-breaker.ts";
import type { HostStatus } from "../../upstream/hosts.ts";
import type { DownloadRates, RateStatus } from "../../upstream/rates/download-rates.ts";
import type { Registry } from "../../upstream/registry.ts";
import { version } from "../../version.ts";
import type { Status } from "../../api/status.ts";
import type { LiveConfiguration } from "./live-configuration.ts";
import type { MetadataHealth } from "./metadata-health.ts";
import { configurationProblem } from "./operator/configuration-problem.ts";
import { healthOf } from "./operator/health.ts";
import { upstreamProblems } from "./upstream-problems.ts";
import type { Upstreams } from "./upstreams.ts";

type UpstreamStatus = Status["upstreams"][number];

/** A request that failed longer ago is no problem any more, in milliseconds: nobody has tried again. */
const MAX_FAILURE_AGE = 300_000;

export interface StatusReportOptions {
  readonly storage: Storage;
  readonly metadataHealth: MetadataHealth;
  readonly localProblems: LocalProblems;
  readonly descriptors: DescriptorBudget;
  readonly fills: Fills;
  readonly siblings: Pick<Siblings, "usefulness">;
  readonly upstreams: Upstreams;
  /** Where nodes reach this cache. */
  readonly address: Pick<Settings, "listen" | "tls">;
  readonly metrics: Metrics;
  readonly memory: MemoryPlan;
  /** Who holds bytes of blobs that were received and are not written yet. */
  readonly received: readonly Pick<ByteBudget, "held">[];
  readonly live: Pick<LiveConfiguration, "configuration">;
  readonly rates: Pick<DownloadRates, "status">;
  /** Absent where no Kubernetes cluster is read. */
  readonly kubernetes?: (() => Status["kubernetes"]) | undefined;
  /** Absent where nothing is held. */
  readonly held?: (() => Status["held"]) | undefined;
  /** Absent where no cluster is configured. */
  readonly cluster?: (() => ClusterStatus) | undefined;
}

/** Collects the status of the cache from its parts. */
export class StatusReport {
  readonly #options: StatusReportOptions;
  readonly #startedAt = Date.now();

  constructor(options: StatusReportOptions) {
    this.#options = options;
  }

  async read(listening: Status["listening"]): Promise<Status> {
    const { fills, siblings, upstreams, metrics, metadataHealth, localProblems } = this.#options;
    const { problem } = metadataHealth;
    const storage = await this.#storage();
    const cluster = this.#options.cluster?.();
    const kubernetes = this.#options.kubernetes?.();
    const held = this.#options.held?.();
    const upstreamStatuses = [...upstreams.all.values()].map(({ registry }) =>
      upstreamOf(registry, siblings.usefulness(registry.name), metrics),
    );
    const machine = this.#machine();
    const rejected = configurationProblem(this.#options.live.configuration());
    const problems = [
      ...(problem === undefined ? [] : [problem]),
      ...localProblems.current.map(({ text }) => text),
      ...storageProblems(storage),
      ...(rejected === undefined ? [] : [rejected]),
      ...upstreamStatuses.flatMap((one) => upstreamProblems(one, Date.now())),
      ...(cluster?.degraded ?? []).map(({ text }) => text),
    ];
    const parts = { upstreams: upstreamStatuses, storage, machine, problems };
    return {
      version,
      startedAt: this.#startedAt,
      health: healthOf({
        ...parts,
        metadataProblem: problem,
        rejected,
        warnings: this.#warnings(),
      }),
      listening,
      storage,
      machine,
      fills: [...fills.all].map(fillOf),
      rate: rateOf(this.#options.rates.status()),
      upstreams: upstreamStatuses,
      ...(kubernetes && { kubernetes }),
      ...(held && { held }),
      ...(cluster && { cluster: statusOf(cluster) }),
      problems,
    };
  }

  #warnings(): string[] {
    const { upstreams, address } = this.#options;
    const settings = [...upstreams.all].map(
      ([name, { registry }]) => [name, registry.settings] as const,
    );
    return accessWarnings({ ...address, upstreams: new Map(settings) });
  }

  #machine(): Status["machine"] {
    const { localProblems, memory, received, descriptors } = this.#options;
    const receivedNow = received.reduce((sum, { held }) => sum + held, 0);
    return {
      memory: { ...memory, resident: process.memoryUsage.rss(), receivedNow },
      fileDescriptors: descriptors.used,
      ...(descriptors.limit === Infinity ? {} : { fileDescriptorLimit: descriptors.limit }),
      problems: [...localProblems.current],
    };
  }

  async #storage(): Promise<Status["storage"]> {
    const { admin, budget, path } = this.#options.storage;
    const figures = await admin.figures();
    const disk = await diskUsage(path).catch(() => undefined);
    return {
      dataDirectory: path,
      ...figures,
      ...(disk ? { free: disk.free } : {}),
      ...(disk?.inodes ? { inodes: disk.inodes } : {}),
      ...(budget.fullState.isFull ? { fullReason: budget.fullState.reason } : {}),
    };
  }
}

/** As JSON has it, whose lists may be written to. */
function statusOf({ members, degraded, ...parts }: ClusterStatus): NonNullable<Status["cluster"]> {
  return { members: [...members], ...parts, degraded: [...degraded] };
}

function fillOf(fill: Fill): Status["fills"][number] {
  const { digest, sources, size, received, resumedBytes, since, followers, ahead } = fill;
  return {
    digest,
    source: sources.sources[0]?.name ?? "",
    received,
    resumedBytes,
    since,
    clients: followers.count,
    connections: 1 + ahead.connections,
    ...(size === undefined ? {} : { size }),
  };
}

function upstreamOf(registry: Registry, usefulness: Usefulness, metrics: Metrics): UpstreamStatus {
  const now = Date.now();
  const addresses = registry.status.map((address) => {
    const { unanswered, lastFailure, retryAfter, budget, budgetResetsIn, ...host } = address;
    return {
      ...host,
      ...(budget ? { budget: { ...budget, ...resetOf(now, budgetResetsIn) } } : {}),
      ...(unanswered && unanswered.at > now - MAX_FAILURE_AGE
        ? { failure: errorOf(unanswered) }
        : {}),
      ...(lastFailure ? { lastError: errorOf(lastFailure) } : {}),
      ...(retryAfter === undefined ? {} : { rateLimitedUntil: now + retryAfter * 1000 }),
    };
  });
  const { responses, sentBytes, fetchedBytes, savedBytes } = metrics.traffic(registry.name);
  const count = (...results: CacheResult[]): number =>
    results.reduce((sum, result) => sum + (responses.get(result) ?? 0), 0);
  const fromCache = count("hit", "revalidated", "stale", "collapsed");
  const cacheable = fromCache + count("miss");
  return {
    name: registry.name,
    state: stateOf(registry.status),
    addresses,
    rate: rateOf(registry.rate),
    credentials: registry.credentials,
    access: upstreamAccess(registry.settings),
    prefetch: prefetchOf(registry, usefulness),
    traffic: {
      responses: cacheable + count("bypass"),
      fromCache,
      ...(cacheable === 0 ? {} : { hitRatio: fromCache / cacheable }),
      sentBytes,
      fetchedBytes,
      savedBytes,
    },
  };
}

/** In whole seconds. */
function resetOf(now: number, resetsIn: number | undefined): { readonly resetAt?: number } {
  return resetsIn === undefined ? {} : { resetAt: 1000 * Math.round((now + resetsIn) / 1000) };
}

function prefetchOf(
  { settings }: Registry,
  { filled, asked, offUntil }: Usefulness,
): UpstreamStatus["prefetch"] {
  const counts = { downloaded: filled, asked };
  if (settings.prefetch === "off") return { state: "off", ...counts };
  if (offUntil === undefined) return { state: "on", ...counts };
  return { state: "paused", ...counts, pausedUntil: offUntil };
}

function rateOf({ rate, until, used }: RateStatus): Status["rate"] {
  return {
    used: Math.round(used),
    ...(rate === undefined ? {} : { limit: rate }),
    ...(until === undefined ? {} : { until }),
  };
}

function errorOf({ fault, at }: Failure): { readonly message: string; readonly at: number } {
  return { message: fault.message, at };
}

/** The best state of any of its addresses. */
export function stateOf(hosts: readonly HostStatus[]): UpstreamStatus["state"] {
  const available = hosts.filter(({ circuit }) => circuit === "closed");
  if (available.length === 0) return "unavailable";
  const isLimited = available.every(({ retryAfter }) => retryAfter !== undefined);
  return isLimited ? "rate-limited" : "ok";
}

function storageProblems(storage: Status["storage"]): string[] {
  const { databaseBytes, sidecarBytes, maxSize } = storage;
  const metadataBytes = databaseBytes + sidecarBytes;
  const problems = spaceProblems(storage);
  if (metadataBytes > MAX_METADATA * maxSize) {
    const part = `${formatSize(metadataBytes)}, more than half of storage.maxSize (${formatSize(maxSize)})`;
    problems.push(
      `the metadata database and the sidecar files take ${part}. Only half counts, so the store may become larger than that: raise storage.maxSize`,
    );
  }
  return problems;
}

function spaceProblems({ isFull, fullReason, pinnedBytes, maxSize }: Status["storage"]): string[] {
  if (isFull)
    return [`nothing can be stored, so pulls are streamed from the registries: ${fullReason}`];
  // Pins cover more with each image that is pulled or moves, until eviction can no longer reach
  // the low-water mark.
  if (pinnedBytes <= LOW_WATER * maxSize) return [];
  const part = `${formatSize(pinnedBytes)} of ${formatSize(maxSize)} are pinned`;
  return [
    `little else can be stored, so other pulls are streamed from the registries: ${part}. Unpin images, pin fewer platforms, or raise storage.maxSize`,
  ];
}
