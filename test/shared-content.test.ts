import { afterAll, describe, expect } from "bun:test";
import { FileAccessKeys } from "../src/cluster/s3/access-keys.ts";
import { Bucket } from "../src/cluster/s3/bucket.ts";
import { S3Store } from "../src/cluster/s3/s3-store.ts";
import { statusSchema } from "../src/commands/status-schema.ts";
import type { Digest } from "../src/oci/digest.ts";
import { type Ceph, CEPH_PACKAGES, startCeph } from "./harness/ceph.ts";
import { randomContent } from "./harness/content.ts";
import type { Entrepot } from "./harness/entrepot.ts";
import { allBlobs, allManifests, textImage } from "./harness/images.ts";
import { pull } from "./harness/pull.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { digestFrom, type Replicas, startReplicas } from "./harness/replicas.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

const cephTest = await unpackedTests("bookworm-ceph", CEPH_PACKAGES);
const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

let starting: Promise<Ceph> | undefined;
let buckets = 0;

/** One for all tests of this file. */
function startedCeph(tree: string): Promise<Ceph> {
  starting ??= startCeph(tree).then((started) => closing.use(started));
  return starting;
}

interface Store {
  readonly ceph: Ceph;
  /** `cluster.store` of its bucket. */
  readonly settings: object;
  /** What is in it. */
  readonly objects: S3Store;
  /** Starts a cache that has this store, and knows of no other replica. */
  start(upstream: ScriptedUpstream, settings?: object): Promise<Replicas>;
}

async function storeOf(tree: string, isThere = true): Promise<Store> {
  const ceph = await startedCeph(tree);
  const bucket = `images-${++buckets}`;
  if (isThere) await ceph.createBucket(bucket);
  const url = new URL(`${ceph.url}/${bucket}/cache`);
  const at = new Bucket({ url, isPathStyle: true });
  const keys = new FileAccessKeys(bucket, ceph.keyFiles);
  const limits = { firstByteMs: 10_000, stallMs: 10_000 };
  const objects = new S3Store({ bucket: at, region: "us-east-1", keys, limits });
  closing.defer(() => objects.close());
  const settings = { url: url.href, ...ceph.keyFiles };
  return {
    ceph,
    settings,
    objects,
    start: (upstream, more = {}) =>
      startReplicas({
        url: upstream.url,
        count: 1,
        cluster: (_, members) => ({ members, store: { ...settings, ...more } }),
      }),
  };
}

function only({ all: [cache] }: Replicas): Entrepot {
  if (!cache) throw new Error("there is no replica");
  return cache;
}

/** What `status` says of the cluster. */
async function statusOf(cache: Entrepot) {
  const status = statusSchema.parse(await (await cache.getAdmin("/api/v1/status")).json());
  if (!status.cluster?.store) throw new Error("the status names no shared store");
  return { store: status.cluster.store, degraded: status.cluster.degraded };
}

/** Waits until the store has these blobs, and nothing is left to write. */
async function written(
  cache: Entrepot,
  { objects }: Store,
  blobs: readonly { readonly digest: Digest }[],
): Promise<void> {
  for (const { digest } of blobs) {
    await until(async () => (await objects.size(digest)) !== undefined, { what: digest });
  }
  await until(async () => (await statusOf(cache)).store.backlog === 0, { what: "the backlog" });
}

/** Bytes of blobs that the upstream has sent. */
function sent(upstream: ScriptedUpstream): number {
  return upstream.requests({ kind: "blob" }).reduce((sum, request) => sum + request.sent, 0);
}

describe("a shared store", () => {
  cephTest("gives what another cache has pulled, where its place has it", async (tree) => {
    const store = await storeOf(tree);
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    const blob = randomContent(3 * MIB);
    upstream.addBlob("app", blob);
    await using first = await store.start(upstream);
    await pull(only(first), "app", "1", image);
    expect(await digestFrom(only(first), "app", blob)).toBe(blob.digest);
    await written(only(first), store, [...allManifests(image), ...allBlobs(image), blob]);
    upstream.forget();

    await using second = await store.start(upstream);
    await pull(only(second), "app", "1", image);
    expect(await digestFrom(only(second), "app", blob)).toBe(blob.digest);
    // A byte of each blob at most, to know that this repository has it.
    expect(sent(upstream)).toBeLessThanOrEqual(8);
    // What the store has, and a place has not, is not shown there.
    expect(await digestFrom(only(second), "other", blob)).toStartWith("404");
    expect(await statusOf(only(second))).toMatchObject({ store: { state: "up" }, degraded: [] });
  });
});
