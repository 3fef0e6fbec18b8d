import { FileAccessKeys } from "../../../src/cluster/s3/access-keys.ts";
import { Bucket } from "../../../src/cluster/s3/bucket.ts";
import { S3Store } from "../../../src/cluster/s3/s3-store.ts";
import { statusSchema } from "../../../src/api/status.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import type { Ceph } from "./ceph.ts";
import type { Entrepot } from "../cache/entrepot.ts";
import { type Replicas, startReplicas } from "./replicas.ts";
import type { ScriptedUpstream } from "../registries/scripted-upstream.ts";
import { until } from "../waiting.ts";

let buckets = 0;

/** A bucket, and the caches that use it. */
export interface TestStore {
  readonly ceph: Ceph;
  /** `cluster.store` of its bucket. */
  readonly settings: { readonly url: string };
  /** What is in it. */
  readonly objects: S3Store;
  readonly bucket: string;
  /** Has it hold wrong bytes under a digest. */
  forge(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** Of what it holds under a digest. */
  contentDigest(digest: Digest): Promise<string>;
  /** Starts a cache that has this store, and knows of no other replica. */
  start(upstream: ScriptedUpstream, settings?: object): Promise<Replicas>;
}

export async function newStore(
  ceph: Ceph,
  closing: AsyncDisposableStack,
  isThere = true,
): Promise<TestStore> {
  const bucket = `images-${++buckets}`;
  if (isThere) await ceph.createBucket(bucket);
  const url = new URL(`${ceph.url}/${bucket}/cache`);
  const at = new Bucket({ url, isPathStyle: true });
  const keys = new FileAccessKeys(bucket, ceph.keyFiles);
  const limits = { firstByteMs: 10_000, stallMs: 10_000 };
  const objects = new S3Store({ bucket: at, region: "us-east-1", keys, limits });
  closing.defer(() => objects.close());
  const client = ceph.client(bucket);
  const settings = { url: url.href, ...ceph.keyFiles };
  return {
    ceph,
    settings,
    objects,
    bucket,
    forge: async (digest, bytes) => {
      await client.write(at.keyOf(digest), bytes);
    },
    contentDigest: async (digest) => digestOf(await client.file(at.keyOf(digest)).bytes()),
    start: (upstream, more = {}) =>
      startReplicas({
        url: upstream.url,
        count: 1,
        cluster: (_, members) => ({ members, store: { ...settings, ...more } }),
      }),
  };
}

export function only({ all: [cache] }: Replicas): Entrepot {
  if (!cache) throw new Error("there is no replica");
  return cache;
}

/** What `status` says of the cluster. */
export async function statusOf(cache: Entrepot) {
  const status = statusSchema.parse(await (await cache.getAdmin("/api/v1/status")).json());
  if (!status.cluster?.store) throw new Error("the status names no shared store");
  return { store: status.cluster.store, degraded: status.cluster.degraded };
}

/** Waits until the store has these blobs, and nothing is left to write. */
export async function written(
  cache: Entrepot,
  { objects }: TestStore,
  blobs: readonly { readonly digest: Digest }[],
): Promise<void> {
  for (const { digest } of blobs) {
    await until(async () => (await objects.size(digest)) !== undefined, { what: digest });
  }
  await until(async () => (await statusOf(cache)).store.backlog === 0, { what: "the backlog" });
}
