import type { Status } from "../../../api/status.ts";
import { adopt } from "../../../cache/adoption/adoption.ts";
import type { Cache } from "../../../cache/cache.ts";
import type { Settings } from "../../../config/settings.ts";
import { AdminApi } from "../../../server/admin/admin-api.ts";
import { Jobs } from "../../../server/api/jobs/job-table.ts";
import { version } from "../../../version.ts";
import type { ClusterParts } from "../cluster-parts.ts";
import type { LiveConfiguration } from "../live-configuration.ts";
import { StatusReport, type StatusReportOptions } from "../status-report.ts";
import type { Insight } from "./insight.ts";
import type { OperatorNews } from "./operator-news.ts";
import { Wanted } from "./wanted-parts.ts";

export interface OperatorApiOptions extends Omit<
  StatusReportOptions,
  "fills" | "siblings" | "cluster"
> {
  readonly settings: Settings;
  readonly cache: Cache;
  readonly cluster?: ClusterParts | undefined;
  readonly insight: Insight;
  readonly news: OperatorNews;
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

  constructor(options: OperatorApiOptions) {
    const { settings, storage, cache, cluster, upstreams, metrics } = options;
    const { insight, news, live, listening, collect } = options;
    const { fills, siblings } = cache;
    const report = new StatusReport({ ...options, fills, siblings, cluster: cluster?.status });
    const status = async (): Promise<Status> => {
      await collect();
      return report.read(listening());
    };
    const jobs = new Jobs((job) => insight.feed.publish("job", job));
    this.#jobs = jobs;
    this.#wanted = new Wanted({ settings, storage, cache, upstreams, jobs, metrics });
    const { readiness } = this.#wanted;
    news.events.watch({ upstreams, nodes: insight.nodes, readiness });
    this.api = new AdminApi({
      storage,
      jobs,
      pulled: cache,
      adopt: (adoption) => adopt(storage, upstreams.all, adoption),
      tellReplicas: cluster?.tellReplicas,
      reload: live.reload,
      configuration: live.configuration,
      shared: cluster?.shared,
      version,
      status,
      operations: [
        ...insight.operations(status),
        ...this.#wanted.operations,
        ...news.events.operations,
      ],
    });
  }

  configure(settings: Settings): void {
    this.#wanted.configure(settings);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#wanted[Symbol.dispose]();
    await this.#jobs[Symbol.asyncDispose]();
  }
}
