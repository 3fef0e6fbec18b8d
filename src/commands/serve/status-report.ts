import type { Fill } from "../../cache/fill/fill.ts";
import type { Fills } from "../../cache/fill/fills.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import { formatSize } from "../../config/parsing/units.ts";
import { diskUsage } from "../../store/disk/disk-usage.ts";
import { LOW_WATER } from "../../store/disk/disk-budget.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { CacheResult } from "../../telemetry/request-counters.ts";
import type { HostStatus } from "../../upstream/hosts.ts";
import type { Registry } from "../../upstream/registry.ts";
import { version } from "../../version.ts";
import type { Status } from "../status-schema.ts";
import { upstreamProblems } from "./upstream-problems.ts";
import type { Upstreams } from "./upstreams.ts";

type UpstreamStatus = Status["upstreams"][number];

export interface StatusReportOptions {
  readonly storage: Storage;
  readonly fills: Fills;
  readonly upstreams: Upstreams;
  readonly metrics: Metrics;
}

/** What the cache is doing, put together from everything that knows a part of it. */
export class StatusReport {
  readonly #options: StatusReportOptions;
  readonly #startedAt = Date.now();

  constructor(options: StatusReportOptions) {
    this.#options = options;
  }

  async read(listening: Status["listening"]): Promise<Status> {
    const { fills, upstreams, metrics } = this.#options;
    const storage = await this.#storage();
    const told = [...upstreams.all.values()].map(({ registry }) => upstreamOf(registry, metrics));
    return {
      version,
      startedAt: this.#startedAt,
      listening,
      storage,
      fills: [...fills.all].map(fillOf),
      upstreams: told,
      problems: [
        ...storageProblems(storage),
        ...told.flatMap((one) => upstreamProblems(one, Date.now())),
      ],
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
      ...(budget.fullState.isFull ? { fullBecause: budget.fullState.reason } : {}),
    };
  }
}

function fillOf({
  digest,
  sources,
  size,
  received,
  resumedBytes: kept,
  since,
  followers,
}: Fill): Status["fills"][number] {
  const source = sources.sources[0]?.name ?? "";
  const clients = followers.count;
  return {
    digest,
    source,
    received,
    kept,
    since,
    clients,
    ...(size === undefined ? {} : { size }),
  };
}

function upstreamOf(registry: Registry, metrics: Metrics): UpstreamStatus {
  const now = Date.now();
  const addresses = registry.status.map(({ lastFailure, retryAfter, ...host }) => ({
    ...host,
    ...(lastFailure
      ? { lastError: { message: lastFailure.fault.message, at: lastFailure.at } }
      : {}),
    ...(retryAfter === undefined ? {} : { limitedUntil: now + retryAfter * 1000 }),
  }));
  const { responses, sentBytes, fetchedBytes } = metrics.traffic(registry.name);
  const count = (...results: CacheResult[]): number =>
    results.reduce((sum, result) => sum + (responses.get(result) ?? 0), 0);
  const fromHere = count("hit", "revalidated", "stale", "collapsed");
  const countable = fromHere + count("miss");
  return {
    name: registry.name,
    state: stateOf(registry.status),
    addresses,
    credentials: registry.credentials,
    traffic: {
      answers: countable + count("bypass"),
      fromHere,
      ...(countable === 0 ? {} : { hitRatio: fromHere / countable }),
      sentBytes,
      fetchedBytes,
      savedBytes: Math.max(0, sentBytes - fetchedBytes),
    },
  };
}

/** One address that can be asked is enough, for what it has. */
function stateOf(hosts: readonly HostStatus[]): UpstreamStatus["state"] {
  const asked = hosts.filter(({ circuit }) => circuit === "closed");
  if (asked.length === 0) return "out";
  return asked.every(({ retryAfter }) => retryAfter !== undefined) ? "limited" : "ok";
}

function storageProblems(storage: Status["storage"]): string[] {
  const { isFull, fullBecause, pinnedBytes, maxSize } = storage;
  if (isFull) return [`nothing can be stored, and pulls are passed through: ${fullBecause}`];
  // An eviction comes to no end then. Pins mean more with every image that is pulled or moves.
  if (pinnedBytes <= LOW_WATER * maxSize) return [];
  const part = `${formatSize(pinnedBytes)} of ${formatSize(maxSize)} are pinned`;
  return [
    `little else can be stored, and is passed through: ${part}: unpin some, name platforms, or raise storage.maxSize`,
  ];
}
