import {
  BEATS,
  type Overview,
  type RegistryRow,
  type RunningDownload,
} from "../../../api/overview.ts";
import type { ReadinessReport } from "../../../api/readiness.ts";
import type { Status } from "../../../api/status.ts";
import { ratioByBytes, ratioByRequests } from "../../../history/figures.ts";
import {
  beatOf,
  type HistoryReport,
  type PeriodReport,
  savedBytes,
} from "../../../history/history-report.ts";
import type { KnownNodes } from "../../../history/nodes/known-nodes.ts";
import type { PullLog } from "../../../history/pulls/pull-log.ts";
import type { UpstreamActivity } from "../../../history/upstream-activity.ts";
import { DownloadSpeeds } from "./download-speeds.ts";

/** Of more, the first screen has no room. */
const MAX_NODES = 50;

/** What is free changes all the time, by other programs too: pages need not hear of it. In bytes. */
const FREE_STEP = 16 * 1024 * 1024;

type UpstreamStatus = Status["upstreams"][number];

export interface OverviewOptions {
  readonly status: () => Promise<Status>;
  readonly history: HistoryReport;
  readonly activity: Pick<UpstreamActivity, "latency">;
  readonly pulls: Pick<PullLog, "latest" | "imageOf">;
  readonly nodes: Pick<KnownNodes, "all" | "count">;
  /** What the last look at all wanted images found. */
  readonly readiness: () => ReadinessReport | undefined;
  /** Looks at the requests that were answered until now. */
  readonly settle: () => Promise<void>;
}

/** Collects what an operator sees first. */
export class OverviewReport {
  readonly #options: OverviewOptions;
  readonly #speeds = new DownloadSpeeds();

  constructor(options: OverviewOptions) {
    this.#options = options;
  }

  async read(): Promise<Overview> {
    const { history, pulls, nodes, settle } = this.#options;
    await settle();
    const status = await this.#options.status();
    const [day, week, month] = [
      await history.of("day"),
      await history.of("week"),
      await history.of("month"),
    ];
    return {
      at: Date.now(),
      version: status.version,
      startedAt: status.startedAt,
      health: status.health,
      saved: { day: history.saved(day), week: history.saved(week), month: history.saved(month) },
      registries: status.upstreams.map((upstream) => this.#registry(upstream, day)),
      downloads: this.#downloads(status.fills),
      disk: await this.#disk(status.storage),
      ...readinessOf(this.#options.readiness()),
      nodes: nodes.all.slice(0, MAX_NODES),
      nodeCount: nodes.count,
      pulls: [...pulls.latest],
    };
  }

  #registry(upstream: UpstreamStatus, { upstreams }: PeriodReport): RegistryRow {
    const { name, state, addresses } = upstream;
    const own = addresses.findLast(({ isMirror }) => !isMirror);
    const mirror = addresses.find(({ isMirror, circuit }) => isMirror && circuit === "closed");
    const latencyMs = this.#options.activity.latency(name);
    const known = upstreams.get(name);
    const budget = own?.budget;
    const reason = own?.reason ?? own?.failure?.message;
    const byBytes = known && ratioByBytes(known.total);
    const byRequests = known && ratioByRequests(known.total);
    return {
      name,
      state,
      access: upstream.access.mode,
      circuit: own?.circuit ?? "closed",
      ...(reason === undefined ? {} : { reason }),
      ...(latencyMs === undefined ? {} : { latencyMs }),
      beats: known ? known.steps.map(beatOf) : Array.from({ length: BEATS }, () => "idle" as const),
      answers: {
        ok: known?.total.answered ?? 0,
        failed: known?.total.failed ?? 0,
        limited: known?.total.limited ?? 0,
      },
      ...(budget ? { budget: budgetOf(budget) } : {}),
      ...(own?.rateLimitedUntil === undefined ? {} : { limitedUntil: own.rateLimitedUntil }),
      ...(mirror ? { mirror: mirror.url } : {}),
      ...(byBytes === undefined ? {} : { hitRatioByBytes: byBytes }),
      ...(byRequests === undefined ? {} : { hitRatioByRequests: byRequests }),
      savedBytes: known ? savedBytes(known.total) : 0,
    };
  }

  #downloads(fills: Status["fills"]): RunningDownload[] {
    const { pulls } = this.#options;
    return this.#speeds
      .of(fills)
      .map(({ fill, bytesPerSecond }) =>
        downloadOf(fill, bytesPerSecond, pulls.imageOf(fill.source)),
      );
  }

  async #disk(storage: Status["storage"]): Promise<Overview["disk"]> {
    const { usedBytes, blobDiskBytes, pinnedBytes, partialBytes, maxSize, free, isFull } = storage;
    const { evicted, fullInDays } = await this.#options.history.disk(usedBytes, maxSize);
    return {
      used: usedBytes,
      held: blobDiskBytes,
      pinned: pinnedBytes,
      partial: partialBytes,
      metadata: storage.databaseBytes + storage.sidecarBytes,
      max: maxSize,
      ...(free === undefined ? {} : { free: free - (free % FREE_STEP) }),
      isFull,
      ...(fullInDays === undefined ? {} : { fullInDays }),
      evictedToday: evicted,
    };
  }
}

function downloadOf(
  { digest, source, received, size, clients }: Status["fills"][number],
  bytesPerSecond: number,
  image = source,
): RunningDownload {
  const [upstream = ""] = source.split("/", 1);
  const isKnown = size !== undefined && bytesPerSecond > 0;
  return {
    digest,
    image,
    upstream,
    received,
    ...(size === undefined ? {} : { size }),
    followers: clients,
    bytesPerSecond,
    ...(isKnown ? { secondsLeft: (size - received) / bytesPerSecond } : {}),
  };
}

function budgetOf({
  remaining,
  limit,
  resetAt = 0,
}: NonNullable<UpstreamStatus["addresses"][number]["budget"]>): NonNullable<RegistryRow["budget"]> {
  return {
    left: remaining,
    ...(limit === undefined ? {} : { limit }),
    resetAt,
  };
}

function readinessOf(report: ReadinessReport | undefined): Pick<Overview, "readiness"> {
  if (!report || (report.wanted === 0 && report.ratio === 1)) return {};
  const { checkedAt, wanted, ready, sentence } = report;
  return { readiness: { checkedAt, wanted, ready, sentence } };
}
