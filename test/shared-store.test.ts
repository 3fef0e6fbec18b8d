import { afterAll, expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import {
  contentOf,
  sampleShared,
  sharedStoreConformance,
} from "../src/cluster/clustertest/shared-store-conformance.ts";
import { FileAccessKeys } from "../src/cluster/s3/access-keys.ts";
import { Bucket } from "../src/cluster/s3/bucket.ts";
import { probeSharedStore } from "../src/cluster/probe-store.ts";
import { S3Store } from "../src/cluster/s3/s3-store.ts";
import type { SharedStoreProblem } from "../src/cluster/shared-store/shared-store-error.ts";
import { SharedStoreError } from "../src/cluster/shared-store/shared-store-error.ts";
import { type Ceph, CEPH_PACKAGES, startCeph } from "./harness/replicas/ceph.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";

const LIMITS = { firstByteMs: 5000, stallMs: 5000 };

const cephTest = await unpackedTests("bookworm-ceph", CEPH_PACKAGES);
const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

let starting: Promise<Ceph> | undefined;
let buckets = 0;

/** One for all tests of this file. */
function ceph(tree: string): Promise<Ceph> {
  starting ??= startCeph(tree).then((started) => closing.use(started));
  return starting;
}

function storeAt(started: Ceph, path: string, options: { keys?: FileAccessKeys } = {}): S3Store {
  const bucket = new Bucket({ url: new URL(path, started.url), isPathStyle: true });
  const keys = options.keys ?? new FileAccessKeys(bucket.name, started.keyFiles);
  const store = new S3Store({ bucket, region: "us-east-1", keys, limits: LIMITS });
  closing.defer(() => store.close());
  return store;
}

async function newBucket(started: Ceph): Promise<string> {
  const name = `bucket-${++buckets}`;
  await started.createBucket(name);
  return name;
}

async function problemOf(work: Promise<unknown>): Promise<SharedStoreProblem | undefined> {
  const error = await work.catch((cause: unknown) => cause);
  return error instanceof SharedStoreError ? error.problem : undefined;
}

let tree = "";
sharedStoreConformance(
  "S3Store on Ceph",
  (name, run) =>
    cephTest(name, (at) => {
      tree = at;
      return run();
    }),
  async () => {
    const started = await ceph(tree);
    return storeAt(started, `${await newBucket(started)}/some/prefix/`);
  },
);

cephTest("prefixes of one bucket are apart", async (at) => {
  const started = await ceph(at);
  const name = await newBucket(started);
  const [one, other] = [storeAt(started, `${name}/one`), storeAt(started, `${name}/two`)];
  const blob = sampleShared(100);
  await one.write(blob);
  expect(await other.size(blob.digest)).toBeUndefined();
  expect(await Array.fromAsync(other.list())).toEqual([]);
  expect(await contentOf(storeAt(started, name), blob.digest)).toBeUndefined();
});

cephTest("a bucket may be a part of the host name", async (at) => {
  const started = await ceph(at);
  const name = await newBucket(started);
  const keys = new FileAccessKeys("the store", started.keyFiles);
  const url = new URL(`http://${name}.localhost:${new URL(started.url).port}/prefix`);
  const bucket = new Bucket({ url, isPathStyle: false });
  const store = new S3Store({ bucket, region: "us-east-1", keys, limits: LIMITS });
  closing.defer(() => store.close());
  const blob = sampleShared(100);
  await store.write(blob);
  expect(await store.size(blob.digest)).toBe(100);
  const listed = await Array.fromAsync(store.list());
  expect(listed.map(({ digest }) => digest)).toEqual([blob.digest]);
  expect(await contentOf(storeAt(started, `${name}/prefix`), blob.digest)).toEqual(blob.content);
  await store.remove([blob.digest]);
  expect(await store.size(blob.digest)).toBeUndefined();
});

cephTest("a file is written, and its address gives it to whoever has it", async (at) => {
  const started = await ceph(at);
  const store = storeAt(started, await newBucket(started));
  await using dir = await tempDir("shared");
  const { content, ...blob } = sampleShared(3_000_000);
  await writeFile(dir.file("blob"), content);
  await store.write({ ...blob, bytes: Bun.file(dir.file("blob")), isInMemory: false });
  const address = await store.addressOf(blob.digest, 60);
  const part = await fetch(address, { headers: { range: "bytes=2999990-" } });
  expect(part.status).toBe(206);
  expect(await part.bytes()).toEqual(content.subarray(2_999_990));
  const forged = new URL(address);
  forged.searchParams.set("X-Amz-Expires", "3600");
  expect((await fetch(forged)).status).toBe(403);
});

cephTest("what is wrong with a bucket or its keys is told apart", async (at) => {
  const started = await ceph(at);
  await using dir = await tempDir("keys");
  const blob = sampleShared(100);
  const missing = storeAt(started, "nowhere");
  expect(await problemOf(missing.write(blob))).toEqual({ kind: "no-bucket", bucket: "nowhere" });
  const read = missing.read(blob.digest, 0, new AbortController().signal);
  expect(await problemOf(read)).toEqual({ kind: "no-bucket", bucket: "nowhere" });

  const name = await newBucket(started);
  const files = { accessKeyFile: dir.file("access"), secretKeyFile: dir.file("secret") };
  await writeFile(files.accessKeyFile, started.accessKey);
  await writeFile(files.secretKeyFile, "wrong");
  const keys = new FileAccessKeys("the store", files);
  const store = storeAt(started, name, { keys });
  const refused = {
    kind: "credentials",
    reason: "the secret key is wrong (SignatureDoesNotMatch)",
  } as const;
  expect(await problemOf(store.write(blob))).toEqual(refused);
  // The response to HEAD does not say why.
  expect(await problemOf(store.size(blob.digest))).toEqual(refused);
  // A replaced file is taken up with the very next request.
  await writeFile(files.secretKeyFile, `${started.secretKey}\n`);
  await store.write(blob);
  expect(await store.size(blob.digest)).toBe(100);
});

cephTest("a full store refuses what is written, and gives what it has", async (at) => {
  const started = await ceph(at);
  const store = storeAt(started, await newBucket(started));
  const blob = sampleShared(50_000);
  await store.write(blob);
  await started.setQuota(4096);
  try {
    expect(await problemOf(store.write(sampleShared(50_000, 2)))).toEqual({
      kind: "full",
      code: "QuotaExceeded",
    });
    expect(await contentOf(store, blob.digest)).toEqual(blob.content);
  } finally {
    await started.setQuota(-1);
  }
});

cephTest("over TLS, a file is streamed and what it has is read", async (at) => {
  const started = await ceph(at);
  const url = new URL(await newBucket(started), started.secureUrl);
  const bucket = new Bucket({ url, isPathStyle: true });
  const keys = new FileAccessKeys(bucket.name, started.keyFiles);
  const ca = await Bun.file(started.certificateFile).text();
  const options = { bucket, region: "us-east-1", keys, limits: LIMITS };
  await using dir = await tempDir("shared");
  const { content, ...blob } = sampleShared(3_000_000);
  const bytes = Bun.file(dir.file("blob"));
  await bytes.write(content);
  const store = new S3Store({ ...options, ca });
  closing.defer(() => store.close());
  await store.write({ ...blob, bytes, isInMemory: false });
  expect(await contentOf(store, blob.digest)).toEqual(content);
  await bytes.write("");
  const { content: nothing, ...empty } = sampleShared(0);
  await store.write({ ...empty, bytes, isInMemory: false });
  expect(await contentOf(store, empty.digest)).toEqual(nothing);
  await bytes.write(content.subarray(1));
  const short = { ...sampleShared(3_000_000, 2), bytes, isInMemory: false };
  expect(await store.write(short).catch((cause: unknown) => cause)).toBeInstanceOf(Error);
  expect(await store.size(short.digest)).toBeUndefined();

  const untrusting = new S3Store(options);
  closing.defer(() => untrusting.close());
  expect(await problemOf(untrusting.size(blob.digest))).toMatchObject({ kind: "unreachable" });
});

cephTest("the doctor reads from a bucket, writes to it and leaves nothing there", async (at) => {
  const started = await ceph(at);
  const name = await newBucket(started);
  const settings = (path: string) => ({
    url: new URL(path, started.url),
    isPathStyle: true,
    region: "us-east-1",
    keys: { kind: "files", ...started.keyFiles } as const,
  });
  expect(await probeSharedStore(settings(`${name}/prefix`))).toEqual({ kind: "ok" });
  expect(await Array.fromAsync(storeAt(started, `${name}/prefix`).list())).toEqual([]);
  expect(await probeSharedStore(settings("nowhere"))).toMatchObject({ kind: "store-missing" });
  const nobody = { ...settings(name), url: new URL("http://127.0.0.1:1/bucket") };
  expect(await probeSharedStore(nobody)).toMatchObject({ kind: "store-away" });
  using hanging = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const silent = { ...settings(name), url: new URL(`http://127.0.0.1:${hanging.port}/${name}`) };
  expect(await probeSharedStore(silent, 10)).toEqual({
    kind: "store-away",
    reason: "it did not answer within 0.01 s",
  });
});
