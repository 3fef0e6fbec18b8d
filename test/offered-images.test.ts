import { expect, test } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import { pull } from "./harness/cache/pull.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

async function offered(cache: Entrepot, platform = "linux/amd64"): Promise<unknown> {
  const response = await cache.get(`/entrepot/v1/images?platform=${platform}`);
  expect(response.status).toBe(200);
  return ((await response.json()) as { images: unknown }).images;
}

test("the cache names the smallest whole image of each upstream that its configuration allows", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const image = (length: number): Image =>
    textImage({ text: Array(length).keys().toArray().join() });
  const [least, small, large] = [image(10), image(40_000), image(400_000)];
  upstream.add("secret/least", least, "1");
  upstream.add("org/large", large, "1");
  upstream.add("org/small", small, "1");
  upstream.add("org/partial", image(20), "1");
  const settings = localUpstream(upstream.url);
  const at = (deny: readonly string[]) => ({
    data: data.file("d"),
    config: { upstreams: { "reg.test": { ...settings, deny }, "empty.test": settings } },
  });
  {
    await using cache = await startEntrepot(at([]));
    expect(await offered(cache)).toEqual([]);
    await pull(cache, "org/large", "1", large);
    await pull(cache, "org/small", "1", small);
    await pull(cache, "secret/least", "1", least);
    await cache.get("/v2/org/partial/manifests/1?ns=reg.test");
  }
  await using cache = await startEntrepot(at(["secret/**"]));
  upstream.forget();
  expect(await offered(cache)).toEqual([
    {
      namespace: "reg.test",
      reference: `reg.test/org/small@${small.manifest.digest}`,
      size: expect.any(Number),
    },
  ]);
  // No node of this platform could use it.
  expect(await offered(cache, "linux/riscv64")).toEqual([]);
  expect(await offered(cache, "%00")).toEqual([]);
  expect(upstream.requests()).toEqual([]);
});

test("a client is told apart what it was served and why it was refused", async () => {
  await using upstream = await startScriptedUpstream();
  const settings = { ...localUpstream(upstream.url), deny: ["secret/**"] };
  await using cache = await startEntrepot({ config: { upstreams: { "reg.test": settings } } });
  await cache.get("/v2/org/none/manifests/1?ns=reg.test");
  await cache.get("/v2/secret/app/manifests/1?ns=reg.test");
  expect(await (await cache.get("/entrepot/v1/served")).json()).toMatchObject({
    served: [],
    refused: [
      { namespace: "reg.test", repository: "org/none", status: 404, code: "MANIFEST_UNKNOWN" },
      {
        repository: "secret/app",
        status: 403,
        code: "DENIED",
        message: expect.stringContaining("does not allow secret/app of reg.test"),
      },
    ],
  });
});
