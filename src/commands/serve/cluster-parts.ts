import { join } from "node:path";
import type { Cache, CacheOptions } from "../../cache/cache.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { Cluster, ClusterOptions } from "../../cluster/cluster.ts";
import type { ClusterStatus } from "../../cluster/cluster-status.ts";
import { type Address, formatAddress } from "../../config/parsing/address.ts";
import type { Settings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { TellReplicas } from "../../server/admin/orders.ts";
import { isAllowed } from "../../server/pull/policy.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Ports } from "../ports/open-port.ts";

export interface ClusterPartsOptions {
  readonly settings: Settings;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly storage: Storage;
  /** What blobs are received with. */
  readonly transport: NonNullable<ClusterOptions["transport"]> & Pick<ClusterOptions, "budget">;
}

/** How a cache takes part in a cluster. */
export interface ClusterParts extends AsyncDisposable {
  /** For the cache. */
  readonly content: Pick<CacheOptions, "near" | "onFetched" | "tagNews" | "manifestNews">;
  readonly redirects: Cluster["redirects"];
  /** What replicas tell each other; absent without a database. */
  readonly facts: Cluster["facts"];
  readonly tellReplicas: TellReplicas;
  /** How many replicas are alive, this one included. */
  readonly replicas: () => number;
  readonly status: () => ClusterStatus;
  /** @throws ListenError */
  readonly listen: (
    ports: Ports,
    cache: Cache,
    upstreams: ReadonlyMap<UpstreamName, Upstream>,
  ) => string;
  /** Begins to do what other replicas tell. */
  readonly follow: (
    cache: Cache,
    storage: Pick<Storage, "admin" | "metadata" | "path">,
    upstreams: ReadonlyMap<UpstreamName, Upstream>,
  ) => Promise<void>;
  readonly stop: () => void;
}

/** `undefined` where no cluster is configured: then nothing of it is loaded. */
export async function openCluster({
  settings: { cluster: settings },
  log,
  metrics,
  storage,
  transport,
}: ClusterPartsOptions): Promise<ClusterParts | undefined> {
  if (!settings) return undefined;
  const [parts, gauges, shared] = await Promise.all([
    import("../../cluster/cluster.ts"),
    import("./cluster-gauges.ts"),
    settings.store && import("../../cluster/open-shared-store.ts"),
  ]);
  const openStore = shared?.openSharedStore;
  const { budget } = transport;
  const options = { settings, log, budget, openStore, transport };
  const cluster = new parts.Cluster(options);
  const status = (): ClusterStatus => cluster.status();
  gauges.measureCluster(metrics, status, cluster.counters);
  if (settings.database) gauges.measureLedger(metrics, status);
  if (shared) gauges.measureSharedStore(metrics, status, cluster.counters);
  return {
    content: {
      near: cluster.near,
      onFetched: ({ digest }) => cluster.fetched(digest),
      tagNews: cluster.facts?.tagNews,
      manifestNews: cluster.facts?.manifests,
    },
    redirects: cluster.redirects,
    facts: cluster.facts,
    tellReplicas: async (order) =>
      cluster.facts?.order(order) ?? { reached: 1, of: cluster.size, ledger: "none", images: 0 },
    replicas: () => cluster.living,
    status,
    listen(ports, cache, upstreams) {
      cluster.share({
        store: storage.blobs,
        records: storage.metadata.blobs,
        upstreamsOf: (digest) => storage.metadata.links.upstreams(digest),
        using: (digest, work) => cache.fills.using(digest, work),
      });
      const address = cluster.listen({
        lookup: cache.forReplicas,
        upstreams,
        isAllowed: (upstream, repository) => isAllowed(upstream.settings, repository),
        open: (at: Address, serve) => ports.open("cluster.listen", at, serve),
      });
      return formatAddress(address);
    },
    follow: (cache, { admin, metadata, path }, upstreams) =>
      cluster.follow({
        cache,
        admin,
        tags: metadata.tags,
        upstreams,
        orderFile: join(path, "orders.json"),
      }),
    stop: () => cluster.stop(),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
