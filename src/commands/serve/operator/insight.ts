import type { Overview } from "../../../api/overview.ts";
import type { ReadinessReport } from "../../../api/readiness.ts";
import type { Status } from "../../../api/status.ts";
import type { Storage } from "../../../cache/retention/storage.ts";
import { DOCKER_HUB } from "../../../config/settings.ts";
import { HistoryReport } from "../../../history/history-report.ts";
import { KnownNodes } from "../../../history/nodes/known-nodes.ts";
import { CountedTagPulls } from "../../../history/pulls/counted-tag-pulls.ts";
import { ImageClients } from "../../../history/pulls/image-clients.ts";
import { PullLog } from "../../../history/pulls/pull-log.ts";
import { RequestQueue } from "../../../history/pulls/request-queue.ts";
import { Recorder } from "../../../history/recorder.ts";
import { UpstreamActivity } from "../../../history/upstream-activity.ts";
import { EventFeed } from "../../../server/api/event-feed.ts";
import type { Operation } from "../../../server/api/operation.ts";
import { overviewOperations } from "../../../server/api/operations/overview.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import type { PulledImage } from "../../../store/history-store.ts";
import type { MetadataStore } from "../../../store/metadata-store.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { Log } from "../../../telemetry/log.ts";
import { measureNodes } from "./node-gauges.ts";
import { OverviewReport } from "./overview-report.ts";

/** Reasons for which a blob is removed to make room. */
const EVICTIONS = new Set(["max-size", "inodes", "quota", "age"]);

/** No runtime names itself at such length, and many of them wait in memory. */
const MAX_USER_AGENT = 400;

export interface InsightOptions {
  readonly storage: Storage;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** What operators are told of pulls, nodes and upstreams, now and in the last thirty days. */
export class Insight implements AsyncDisposable {
  readonly activity: UpstreamActivity = new UpstreamActivity();
  readonly nodes: KnownNodes = new KnownNodes();
  readonly clients: ImageClients = new ImageClients();
  readonly tagPulls: CountedTagPulls = new CountedTagPulls();
  readonly feed: EventFeed = new EventFeed();
  readonly pulls: PullLog;
  readonly history: HistoryReport;
  readonly #metadata: Pick<MetadataStore, "history">;
  readonly #queue: RequestQueue;
  readonly #recorder: Recorder;
  #collect: () => Promise<void> = async () => {};

  constructor({ storage, metrics, log }: InsightOptions) {
    const { history } = storage.metadata;
    this.#metadata = storage.metadata;
    const { clients, tagPulls, nodes, activity, feed } = this;
    measureNodes(metrics, nodes);
    this.pulls = new PullLog({
      clients,
      tagPulls,
      storedTag: (repo, digest) => history.tagOf(repo, digest),
      onChange: (pulls) => feed.publish("pull", pulls),
    });
    this.#queue = new RequestQueue((requests) => {
      nodes.add(requests);
      this.pulls.add(requests);
    });
    this.#recorder = new Recorder({
      history,
      traffic: async () => {
        await this.#collect();
        return metrics.totals();
      },
      activity,
      disk: () => ({ used: storage.budget.used, evicted: evictedBytes(metrics) }),
      nodes,
      clients,
      tagPulls,
      onError: (error) => log.debug({ error: String(error) }, "history not written"),
    });
    this.history = new HistoryReport({ history, recorder: this.#recorder, hub: DOCKER_HUB });
    nodes
      .load(history)
      .catch((error: unknown) => log.debug({ error: String(error) }, "nodes not read"));
  }

  /** @param collect has the threads that answer hits tell them first */
  collectFrom(collect: () => Promise<void>): void {
    this.#collect = collect;
  }

  /** A request was answered. Costs no more than a place in a list: the rest is done in batches. */
  served(record: RequestRecord, at: number): void {
    const { route, status, method, userAgent, result, refused } = record;
    if (!route || !("repo" in route)) return;
    if (route.kind !== "manifest" && route.kind !== "blob") return;
    if (status >= 400 && method === "HEAD") return;
    this.#queue.add({
      at,
      milliseconds: record.milliseconds,
      client: record.address,
      userAgent: userAgent.length > MAX_USER_AGENT ? "" : userAgent,
      repo: route.repo,
      kind: route.kind,
      reference: route.kind === "manifest" ? route.reference : route.digest,
      digest: record.digest,
      isHeld: record.held !== undefined,
      result: status >= 400 ? "refused" : (result ?? "hit"),
      reason: record.error ?? refused?.message ?? record.reason,
      bytes: record.bytes,
    });
  }

  /** Looks at the requests that were answered until now. */
  async settle(): Promise<void> {
    await this.#collect();
    this.#queue.flush();
  }

  /** Writes what was answered until now to the history. */
  async written(): Promise<void> {
    await this.settle();
    await this.#recorder.write();
  }

  /** What clients pulled since then, in milliseconds of the epoch. */
  async pulledSince(moment: number): Promise<readonly PulledImage[]> {
    await this.settle();
    const waiting = this.clients.all.filter(({ pulledAt }) => pulledAt >= moment);
    const latest = new Map<string, PulledImage>();
    for (const one of [...(await this.#metadata.history.pulledSince(moment)), ...waiting]) {
      latest.set(`${one.repo.upstream}/${one.repo.repository} ${one.reference}`, one);
    }
    return [...latest.values()];
  }

  /**
   * What operators ask over the API.
   *
   * @param status of the cache, for the parts of the overview that it has
   * @param readiness what the last look at all wanted images found
   */
  operations(
    status: () => Promise<Status>,
    readiness: () => ReadinessReport | undefined,
  ): Operation[] {
    const { history, nodes, clients, pulls, activity, feed } = this;
    const settle = (): Promise<void> => this.settle();
    const parts = { status, history, activity, pulls, nodes, readiness, settle };
    const report = new OverviewReport(parts);
    const overview = (): Promise<Overview> => report.read();
    feed.tellsOverview(overview);
    return overviewOperations({
      overview,
      feed,
      history,
      metadata: this.#metadata,
      nodes,
      clients,
      async pulls() {
        await settle();
        return pulls.latest;
      },
    });
  }

  /** Ends the streams of events, for which a graceful end would wait. */
  stop(): void {
    this.feed.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    this.#queue[Symbol.dispose]();
    await this.#recorder[Symbol.asyncDispose]();
  }
}

function evictedBytes({ removedBytes }: Metrics): number {
  let bytes = 0;
  for (const { labels, value } of removedBytes) if (EVICTIONS.has(labels[0] ?? "")) bytes += value;
  return bytes;
}
