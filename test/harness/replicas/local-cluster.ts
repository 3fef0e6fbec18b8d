/** Replicas of one cluster in this process, for tests of how they work together. */
import { freePort } from "../free-port.ts";
import { until } from "../waiting.ts";
import { sampleBlob } from "../../../src/cache/cachetest/scripted-source.ts";
import type { Digest } from "../../../src/oci/digest.ts";
import {
  registry,
  serve,
  settings,
  type TestServer,
} from "../../../src/upstream/upstreamtest/test-servers.ts";
import { memberAt } from "../../../src/cluster/members/configured-members.ts";
import { rendezvousOrder } from "../../../src/cluster/members/order.ts";
import {
  type LocalReplica,
  type LocalReplicaOptions,
  startLocalReplica,
  urlAt,
} from "../../../src/cluster/clustertest/local-replica.ts";

const UPSTREAM = settings("http://reg.test").name;
export const SIZE = 300_000;

export function upstreamAt({ port }: TestServer): LocalReplicaOptions["upstream"] {
  return { settings: settings(`http://reg.test:${port}`), registry: registry(port) };
}

export interface World extends AsyncDisposable {
  readonly upstream: TestServer;
  readonly ports: readonly number[];
  readonly start: (number: number, options?: Partial<LocalReplicaOptions>) => Promise<LocalReplica>;
  readonly startAll: () => Promise<LocalReplica[]>;
  /** A blob that is asked for in this order of replicas, by their numbers. */
  readonly blobFor: (...order: number[]) => { bytes: Uint8Array; digest: Digest };
}

/** An upstream with every blob of `app`, and ports for so many replicas. */
export function world(count: number): World {
  const closing = new AsyncDisposableStack();
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const upstream = closing.use(
    serve(({ path, headers }) => {
      const bytes = blobs.get(path.split("/").at(-1) ?? "");
      if (!path.startsWith("/v2/app/") || !bytes) return new Response("", { status: 404 });
      const first = Number(/^bytes=(\d+)-/.exec(headers.get("range") ?? "")?.[1] ?? 0);
      if (first === 0) return new Response(bytes);
      const range = `bytes ${first}-${bytes.byteLength - 1}/${bytes.byteLength}`;
      return new Response(bytes.slice(first), { status: 206, headers: { "content-range": range } });
    }),
  );
  const ports = Array.from({ length: count }, () => freePort());
  const start: World["start"] = async (number, options = {}) => {
    const port = ports[number] ?? 0;
    const own = { upstream: upstreamAt(upstream), port, members: ports, ...options };
    return closing.use(await startLocalReplica(own));
  };
  let seed = 0;
  return {
    upstream,
    ports,
    start,
    async startAll() {
      const all = await Promise.all(ports.map((_, number) => start(number)));
      await Promise.all(all.map((replica) => knows(replica, count)));
      return all;
    },
    blobFor(...order) {
      const members = ports.map((port) => memberAt(urlAt(port)));
      for (;;) {
        const blob = sampleBlob(SIZE, (seed += 1));
        const found = rendezvousOrder(members, UPSTREAM, blob.digest).map((member) =>
          members.indexOf(member),
        );
        if (order.some((number, at) => found[at] !== number)) continue;
        blobs.set(blob.digest, blob.bytes);
        return blob;
      }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Waits until a replica has heard of so many living ones, itself included. */
export function knows(replica: LocalReplica, count: number): Promise<unknown> {
  const living = (): boolean =>
    replica.cluster.status().members.filter(({ state }) => state === "this" || state === "living")
      .length === count;
  return until(living, { what: `${count} living members` });
}

/** The one at a place, which has to be there. */
export const one = <Value>(values: readonly Value[], at: number): Value => {
  const value = values[at];
  if (value === undefined) throw new Error(`there is no replica ${at}`);
  return value;
};
