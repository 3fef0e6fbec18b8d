import { join } from "node:path";
import type { CacheOptions } from "../../cache/cache-options.ts";
import type { Cache } from "../../cache/cache.ts";
import type { Storage } from "../../cache/retention/storage.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { Cluster, ClusterOptions } from "../../cluster/cluster.ts";
import type { ClusterStore } from "../../cluster/cluster-store.ts";
import type { ClusterStatus } from "../../cluster/cluster-status.ts";
import type { FactsFollowed } from "../../cluster/facts/replica-facts.ts";
import type { OpenSharedStore } from "../../cluster/open-shared-store.ts";
import { type Address, formatAddress } from "../../config/parsing/address.ts";
import type { Settings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { ReplicaReach } from "../../api/replicas.ts";
import type { Override } from "../../store/override-store.ts";
import type { TellReplicas } from "../../server/api/operations/orders.ts";
import { isAllowed } from "../../cache/policy.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { RegistryTransportOptions } from "../../upstream/registry-transport.ts";
import type { Admission } from "../../server/pull/admission/admission.ts";
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
  readonly content: Pick<
    CacheOptions,
    "near" | "onFetched" | "tagNews" | "manifestNews" | "imageNews"
  > & {
    /** To be told what is served, if that is of interest. */
    readonly onUsed: ClusterStore["used"] | undefined;
  };
  /** The shared store, for operators. */
  readonly shared: () => ClusterStore["admin"];
  readonly redirects: OpenSharedStore["addresses"];
  /** For requests to upstreams. */
  readonly limits: Pick<RegistryTransportOptions, "pooledLimits" | "replicas">;
  readonly tellReplicas: TellReplicas;
  /** Has the others keep an override, too. */
  readonly tellOverride: (override: Override) => Promise<ReplicaReach>;
  readonly status: () => ClusterStatus;
  /**
   * Begins to answer other replicas, and to do what they tell.
   *
   * @returns the address, as `host:port`
   * @throws ListenError
   */
  readonly join: (
    ports: Ports,
    cache: Cache,
    admission: Pick<Admission, "forReplica">,
    upstreams: ReadonlyMap<UpstreamName, Upstream>,
    overrides: FactsFollowed["overrides"],
  ) => Promise<string>;
  readonly configure: (settings: Settings) => void;
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
  const [parts, gauges, shared, retention, ledger] = await Promise.all([
    import("../../cluster/cluster.ts"),
    import("./cluster-gauges.ts"),
    settings.store && import("../../cluster/open-shared-store.ts"),
    settings.store && settings.database && import("../../cluster/open-retention.ts"),
    settings.database && import("../../cluster/cluster-ledger.ts"),
  ]);
  const { budget } = transport;
  const storeParts = shared && {
    openStore: shared.openSharedStore,
    openRetention: retention?.openRetention,
  };
  const openLedger = ledger?.openLedger;
  const options = { settings, log, budget, storeParts, openLedger, transport };
  const cluster = new parts.Cluster(options);
  const { store } = cluster;
  const status = (): ClusterStatus => cluster.status();
  gauges.measureCluster(metrics, status, cluster.counters);
  if (settings.database) gauges.measureLedger(metrics, status, cluster.counters);
  if (shared) gauges.measureSharedStore(metrics, status, cluster.counters);
  return {
    content: {
      near: cluster.near,
      onFetched: ({ digest }) => store?.open.fetched(digest),
      onUsed: store?.used,
      tagNews: cluster.facts?.tagNews,
      manifestNews: cluster.facts?.manifests,
      imageNews: cluster.facts?.images,
    },
    shared: () => store?.admin,
    redirects: store?.open.addresses,
    limits: { pooledLimits: cluster.facts?.limits, replicas: () => cluster.living },
    tellOverride: (override) => tellOverride(cluster, override),
    tellReplicas: async (order) => ({
      ...(await tellReplicas(cluster, order)),
      ...(settings.store && {
        sharedStore: settings.store.maxSize === undefined ? "keeps" : "evicts",
      }),
    }),
    status,
    async join(ports, cache, admission, upstreams, overrides) {
      const address = cluster.listen({
        lookup: cache.forReplicas,
        upstreams,
        share: async (upstream, repository) =>
          isAllowed(upstream.settings, repository)
            ? admission.forReplica(upstream, repository)
            : undefined,
        open: (at: Address, serve) => ports.open("cluster.listen", at, serve),
      });
      store?.share({
        store: storage.blobs,
        records: storage.metadata.blobs,
        metadata: storage.metadata,
        pinned: storage.pinned,
        using: (digest, work) => cache.fills.using(digest, work),
      });
      const { admin, metadata, path } = storage;
      const orderFile = join(path, "orders.json");
      await cluster.follow({ cache, admin, overrides, metadata, upstreams, orderFile });
      return formatAddress(address);
    },
    configure({ cluster: changed }) {
      if (changed) cluster.configure(changed);
    },
    stop: () => cluster.stop(),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

function tellReplicas(
  { facts, size }: Cluster,
  { kind, pattern, platforms }: Parameters<TellReplicas>[0],
): Promise<ReplicaReach> {
  if (!facts) return Promise.resolve(reachWithoutLedger(size));
  return kind === "preview" ? facts.preview(pattern) : facts.order({ kind, pattern, platforms });
}

function tellOverride({ facts, size }: Cluster, override: Override): Promise<ReplicaReach> {
  if (!facts) return Promise.resolve(reachWithoutLedger(size));
  return facts.order({ kind: "override", override });
}

function reachWithoutLedger(of: number): ReplicaReach {
  return { reached: 1, of, ledger: "none", images: 0, refused: 0 };
}
