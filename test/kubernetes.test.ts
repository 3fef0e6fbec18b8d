import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { layersImage, layersOf } from "./harness/images/images.ts";
import { KubernetesApi } from "./harness/kubernetes-api/kubernetes-api.ts";
import { metric } from "./harness/cache/metrics.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function pull(cache: Entrepot, path: string): Promise<void> {
  const response = await cache.get(`/v2/${path}?ns=reg.test`);
  await response.bytes();
  expect(response.status).toBe(200);
}

async function isStored(cache: Entrepot, { digest }: Content): Promise<boolean> {
  return (await storedBlobs(cache.data)).some((blob) => blob.digest === digest);
}

test("what a cluster runs is kept from eviction, also while the cluster is away and after a restart", async () => {
  await using upstream = await startScriptedUpstream();
  await using api = await KubernetesApi.start();
  const layer = bytesOf(randomContent(2 * MIB, 1));
  const image = layersImage([[{ path: "data", content: layer }]], { level: 0 });
  const [kept] = layersOf(image);
  if (!kept) throw new Error("the image has a layer");
  upstream.add("shop", image, "1");
  const others = Array.from({ length: 14 }, (_, seed) => randomContent(MIB, seed + 10));
  for (const blob of others) upstream.addBlob("other", blob);
  const spec = { replicas: 1, template: { spec: { containers: [{ image: "reg.test/shop:1" }] } } };
  api.store.put("deployments", { metadata: { name: "web", namespace: "shop" }, spec });

  const config = {
    storage: { maxSize: "10MiB", scrub: 0 },
    upstreams: { "reg.test": localUpstream(upstream.url) },
    kubernetes: { kubeconfig: "kubeconfig", keep: "cluster" },
  };
  const plain = { ...config, kubernetes: undefined };
  const cache = await startEntrepot({ config: plain });
  try {
    await pull(cache, "shop/manifests/1");
    await pull(cache, `shop/blobs/${kept.digest}`);
    // Beside the configuration, which names it: a reload adds the cluster.
    const kubeconfig = cache.configFile.replace(/[^/]+$/, "kubeconfig");
    await writeFile(kubeconfig, JSON.stringify(api.kubeconfig()));
    await cache.reconfigure(config);
    const keptImages = async (): Promise<boolean> =>
      (await metric(cache, "entrepot_kept_images")) === 1;
    await until(keptImages, { what: "the image to be kept" });
    for (const { digest } of others) await pull(cache, `other/blobs/${digest}`);
    expect((await command(cache, "gc")).code).toBe(0);
    expect(await isStored(cache, kept)).toBe(true);
    const [first] = others;
    expect(first && (await isStored(cache, first))).toBe(false);

    await api.goAway();
    const problem = "cannot be reached: the connection was refused. Until it can be read: what the";
    const isTold = async (): Promise<boolean> =>
      (await command(cache, "status")).stdout.includes(problem);
    await until(isTold, { what: "the problem" });
    const shown = `Kubernetes ${api.url.origin}: 1 image, 1 kept, as it was last known\n`;
    expect((await command(cache, "status")).stdout).toContain(shown);
    expect(await keptImages()).toBe(true);
    await cache.stop("SIGKILL");

    const next = await startEntrepot({
      data: cache.data,
      config: { ...config, kubernetes: { ...config.kubernetes, kubeconfig } },
    });
    try {
      expect(await metric(next, "entrepot_kept_images")).toBe(1);
      const unread = `Kubernetes ${api.url.origin}: not read yet: the Kubernetes API at`;
      const isUnread = async (): Promise<boolean> =>
        (await command(next, "status")).stdout.includes(unread);
      await until(isUnread, { what: "the cluster that was never read" });
      const { code, stdout } = await command(next, "ready");
      expect(code).toBe(1);
      expect(stdout).toContain("What is wanted of cluster is not known: not read yet.");
      expect(stdout).toContain("cluster: not read yet: the Kubernetes API at");
      for (const { digest } of others) await pull(next, `other/blobs/${digest}`);
      expect((await command(next, "gc")).code).toBe(0);
      expect(await isStored(next, kept)).toBe(true);
      // What is purged on purpose goes, and what nobody wants to be kept any more is evicted.
      await next.reconfigure(plain);
      const isForgotten = async (): Promise<boolean> =>
        (await metric(next, "entrepot_kept_images")) === 0;
      await until(isForgotten, { what: "nothing to be kept" });
      for (const { digest } of others) await pull(next, `other/blobs/${digest}`);
      expect((await command(next, "gc")).code).toBe(0);
      expect(await isStored(next, kept)).toBe(false);
    } finally {
      await next[Symbol.asyncDispose]();
    }
  } finally {
    await cache[Symbol.asyncDispose]();
  }
}, 60_000);
