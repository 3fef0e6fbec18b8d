import { PrivateNames } from "../../../access/verdicts/private-names.ts";
import type { Status } from "../../../api/status.ts";
import { adopt } from "../../../cache/adoption/adoption.ts";
import type { Cache } from "../../../cache/cache.ts";
import type { Settings } from "../../../config/settings.ts";
import { AdminApi } from "../../../server/admin/admin-api.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import type { Log } from "../../../telemetry/log.ts";
import { OutageParts } from "../outage/outage-parts.ts";
import { Concealment } from "../../../server/api/concealment.ts";
import { Failures } from "../../../server/api/failures.ts";
import { Jobs } from "../../../server/api/jobs/job-table.ts";
import { version } from "../../../version.ts";
import type { ClusterParts } from "../cluster-parts.ts";
import type { LiveConfiguration } from "../live-configuration.ts";
import { StatusReport, type StatusReportOptions } from "../status-report.ts";
import { measureConfiguration } from "./configuration-problem.ts";
import type { Insight } from "./insight.ts";
import type { OperatorNews } from "./operator-news.ts";
import type { TagDecisions } from "./tag-decisions.ts";
import { Wanted } from "./wanted-parts.ts";

/** For the look at all that is wanted which a drill begins and ends with, in milliseconds. */
const LOOK_MS = 60_000;

export interface OperatorApiOptions extends Omit<
  StatusReportOptions,
  "fills" | "siblings" | "cluster" | "kubernetes" | "address"
> {
  readonly settings: Settings;
  readonly log: Log;
  readonly cache: Cache;
  readonly cluster?: ClusterParts | undefined;
  readonly insight: Insight;
  readonly news: OperatorNews;
  readonly decisions: TagDecisions;
  readonly live: LiveConfiguration;
  /** Where the cache listens: known once it does. */
  readonly listening: () => Status["listening"];
  /** Has the threads that answer hits tell of them. */
  readonly collect: () => Promise<void>;
}

/** What operators can see and do, and the jobs that come of it. */
export class OperatorApi implements AsyncDisposable {
  readonly api: AdminApi;
  readonly #jobs: Jobs;
  readonly #wanted: Wanted;
  readonly #outage: OutageParts;
  readonly #decisions: TagDecisions;

  constructor(options: OperatorApiOptions) {
    const { settings, storage, cache, cluster, upstreams, metrics } = options;
    const { insight, news, decisions, live, listening, collect } = options;
    this.#decisions = decisions;
    const { fills, siblings } = cache;
    const report = new StatusReport({
      ...options,
      fills,
      siblings,
      address: settings,
      cluster: cluster?.status,
      kubernetes: () => this.#outage.kubernetes,
      held: () => decisions.status,
    });
    const status = async (): Promise<Status> => {
      await collect();
      return report.read(listening());
    };
    const concealment = new Concealment(
      new PrivateNames({
        upstreams: () => [...upstreams.all].map(([name, one]) => [name, one.settings.access]),
        visibility: cache.metadata.visibility,
      }),
    );
    const failures = new Failures(options.log);
    measureConfiguration(metrics, live.configuration);
    const jobs = new Jobs(failures, (job) => insight.feed.publishSoon("job", job.id, job));
    this.#jobs = jobs;
    this.#outage = new OutageParts(settings, {
      ...options,
      upstreams: upstreams.all,
      outages: upstreams.outages,
      readiness: () => this.#wanted.readiness.check(AbortSignal.timeout(LOOK_MS)),
    });
    news.audit.knowPods((address, image) => this.#outage.podsOf(address, image));
    const pulledSince = insight.pulledSince.bind(insight);
    const told = { jobs, metrics, log: options.log, pulledSince, sources: [this.#outage.wanted] };
    this.#wanted = new Wanted({ settings, storage, cache, upstreams, ...told });
    const { readiness } = this.#wanted;
    news.events.watch({ upstreams, nodes: insight.nodes, readiness });
    this.api = new AdminApi({
      storage,
      jobs,
      failures,
      concealment,
      pulled: cache,
      adopt: (adoption) => adopt(storage, upstreams.all, adoption),
      tellReplicas: cluster?.tellReplicas,
      reload: live.reload,
      configuration: live.configuration,
      shared: cluster?.shared,
      listsOf: this.#wanted.listsOf,
      version,
      status,
      operations: [
        ...insight.operations(status, () => readiness.latest),
        ...this.#wanted.operations,
        ...this.#outage.operations,
        ...news.events.operations,
        ...decisions.operations(() => insight.written(), jobs),
      ],
    });
  }

  /** Records requests, and counts them in drills. */
  recording(record: (request: RequestRecord) => void): (request: RequestRecord) => void {
    return this.#outage.recording(record);
  }

  configure(settings: Settings): void {
    this.#decisions.configure(settings);
    this.#outage.configure(settings);
    this.#wanted.configure(settings);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#decisions[Symbol.dispose]();
    this.#wanted[Symbol.dispose]();
    this.#outage[Symbol.dispose]();
    await this.#jobs[Symbol.asyncDispose]();
  }
}
