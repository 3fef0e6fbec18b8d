/** Replicas in this process, for tests of how they work together. */
import { Cache } from "../../cache/cache.ts";
import type { Upstream } from "../../cache/upstream.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import type { ClusterSettings } from "../../config/cluster-settings.ts";
import { Accept } from "../../oci/accept.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseRepositoryName } from "../../oci/names.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { createLog } from "../../telemetry/log.ts";
import { Cluster, type ClusterOptions } from "../cluster.ts";
import type { ClusterProblemKind } from "../cluster-problems.ts";

export const SECRET = "the secret of a cluster in a test";

export interface LocalReplicaOptions extends Pick<ClusterOptions, "now"> {
  readonly upstream: Upstream;
  readonly port: number;
  readonly members: readonly number[];
  readonly cluster?: Partial<ClusterSettings>;
  /** Repositories that nodes may not have. */
  readonly denied?: readonly string[];
}

export interface LocalReplica extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly settings: ClusterSettings;
  readonly cache: Cache;
  /** What a client gets of a blob. */
  readonly blob: (digest: Digest, name?: string) => Promise<Uint8Array>;
  readonly manifest: (digest: Digest, name?: string) => Promise<string>;
  readonly problems: () => ClusterProblemKind[];
}

export function urlAt(port: number): URL {
  return new URL(`http://127.0.0.1:${port}`);
}

export async function startLocalReplica(options: LocalReplicaOptions): Promise<LocalReplica> {
  const { upstream, port, members, denied = [], now } = options;
  const closing = new AsyncDisposableStack();
  const log = createLog({ format: "json", level: "silent", stream: { write: () => {} } });
  const settings: ClusterSettings = {
    listen: { host: "127.0.0.1", port },
    advertise: urlAt(port),
    secret: SECRET,
    members: members.map(urlAt),
    ...options.cluster,
  };
  const budget = new ByteBudget(Infinity);
  const cluster = closing.use(new Cluster({ settings, log, budget, ...(now ? { now } : {}) }));
  const store = new MemoryBlobStore();
  const metadata = await openMetadata(":memory:");
  closing.defer(() => metadata.close());
  const cache = new Cache({
    store,
    metadata,
    near: cluster.near,
    observer: {
      fillEnded: () => {},
      manifestNotStored: () => {},
      metadataNotWritten: () => {},
      metadataNotRead: () => {},
      prefetchSwitched: () => {},
    },
  });
  closing.defer(() => cache.fills.drain(0));
  const { name: upstreamName } = upstream.settings;
  cluster.listen({
    lookup: cache.forReplicas,
    upstreams: new Map([[upstreamName, upstream]]),
    share: async (shared, name) =>
      denied.includes(name) ? undefined : { upstream: shared, isHereOnly: false },
    open: (address, serve) => {
      const server = serve(address);
      return { server, port: Number(server.port) };
    },
  });
  const placeOf = (name: string): RepositoryRef => {
    const repository = parseRepositoryName(name);
    if (!repository) throw new Error(`${name} is no repository`);
    return { upstream: upstreamName, repository };
  };
  return {
    cluster,
    settings,
    cache,
    async blob(digest, name = "app") {
      const result = await cache.blobs.get(upstream, placeOf(name), digest);
      if (result.kind === "complete") return result.blob.bytes.bytes();
      return new Response(result.body({ giveUp: () => {} })).bytes();
    },
    async manifest(digest, name = "app") {
      const { manifest } = await cache.manifests.get(
        upstream,
        placeOf(name),
        digest,
        new Accept(null),
      );
      return new TextDecoder().decode(manifest.bytes);
    },
    problems: () => cluster.problems.current.map(({ kind }) => kind),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}
