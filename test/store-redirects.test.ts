import { afterAll, expect, test } from "bun:test";
import type { ContainerdLine } from "../scripts/components/debian.mjs";
import { type Ceph, CEPH_PACKAGES, startCeph } from "./harness/replicas/ceph.ts";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { allBlobs, allManifests, bigImage } from "./harness/images/images.ts";
import { mustRun } from "./harness/processes.ts";
import { pull } from "./harness/cache/pull.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import { digestFrom } from "./harness/replicas/replicas.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import {
  newStore,
  only,
  statusOf,
  type TestStore,
  written,
} from "./harness/replicas/shared-stores.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const LARGE = { redirect: { from: "1MiB" } };

/** Of `npm run test:long` alone. */
const longTest = isLong ? await unpackedTests("bookworm-ceph", CEPH_PACKAGES) : test.skip;
const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

let starting: Promise<Ceph> | undefined;

async function storeOf(tree: string): Promise<TestStore> {
  starting ??= startCeph(tree).then((started) => closing.use(started));
  return newStore(await starting, closing);
}

/** The store by a host name that is not the cache's. */
function elsewhere({ settings }: TestStore): object {
  return { url: settings.url.replace("127.0.0.1", "localhost"), ...LARGE };
}

async function redirects(cache: Entrepot): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return Number(/^entrepot_redirects_total (\d+)/m.exec(text)?.[1] ?? 0);
}

longTest(
  "containerd and skopeo get large layers from the store itself",
  async (tree) => {
    const store = await storeOf(tree);
    await using upstream = await startScriptedUpstream();
    const image = await bigImage({ text: "redirected", size: 12 * MIB });
    upstream.add("app", image, "1");
    await using caches = await store.start(upstream, elsewhere(store));
    const cache = only(caches);
    await pull(cache, "app", "1", image);
    await written(cache, store, [...allManifests(image), ...allBlobs(image)]);
    const hosts = { "reg.test": hostsToml({ server: "https://reg.test", hosts: [cache.url] }) };
    for (const line of ["1.6", "1.7", "2.1"] satisfies ContainerdLine[]) {
      const before = await redirects(cache);
      await using containerd = await startContainerd({ line, hosts });
      await containerd.cri.pullImage("reg.test/app:1");
      const { output } = await containerd.cri.runToEnd("reg.test/app:1");
      expect([line, output]).toEqual([line, "redirected\n"]);
      expect(await redirects(cache)).toBeGreaterThan(before);
    }
    await using dir = await tempDir("skopeo");
    const before = await redirects(cache);
    const source = `docker://${cache.address}/reg.test/app:1`;
    await mustRun(["skopeo", "copy", "--src-tls-verify=false", source, `dir:${dir.path}`]);
    expect(await redirects(cache)).toBeGreaterThan(before);
  },
  180_000,
);

longTest("a store that is away, or has the cache's own name, gets no clients", async (tree) => {
  const store = await storeOf(tree);
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(2 * MIB, 1);
  upstream.addBlob("app", blob);
  await using caches = await store.start(upstream, elsewhere(store));
  const cache = only(caches);
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  expect(await digestFrom(cache, "app", blob)).toBe(blob.digest);
  await written(cache, store, [blob]);

  const response = await cache.get(path);
  expect(response.status).toBe(307);
  const address = response.headers.get("location") ?? "";
  const bytes = await (await fetch(address)).bytes();
  expect(`sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`).toBe(blob.digest);
  expect((await cache.head(path)).status).toBe(200);
  expect((await cache.get(path, { headers: { range: "bytes=0-9" } })).status).toBe(206);
  // By this name, containerd would send it the credentials for the cache.
  expect((await cache.get(path, { headers: { host: "localhost:5000" } })).status).toBe(200);

  await store.ceph.kill();
  // Something else has to notice it.
  const missing = randomContent(MIB, 2);
  upstream.addBlob("app", missing);
  expect(await digestFrom(cache, "app", missing)).toBe(missing.digest);
  await until(async () => (await statusOf(cache)).store.state === "away", { what: "away" });
  expect((await cache.get(path)).status).toBe(200);
  await store.ceph.startGateway();
  await until(async () => (await statusOf(cache)).store.state === "up", { what: "up" });
  expect((await cache.get(path)).status).toBe(307);
});
