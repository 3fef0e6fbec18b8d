import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { layersOf, textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

test("each pull is one line of the audit: who, which image by its tag, and what came of it", async () => {
  await using dir = await tempDir("audit");
  await using upstream = await startScriptedUpstream();
  const image = textImage({ text: "audited" });
  upstream.add("app", image, "1");
  const settings = { ...localUpstream(upstream.url), deny: ["secret/**"] };
  const file = dir.file("logs", "audit.jsonl");
  const cache = await startEntrepot({
    config: { audit: { to: file }, upstreams: { "reg.test": settings } },
  });
  const get = async (path: string, agent: string): Promise<number> => {
    const headers = { "user-agent": agent };
    const response = await cache.get(`/v2/${path}?ns=reg.test`, { headers });
    await response.bytes();
    return response.status;
  };
  const [layer] = layersOf(image);
  // Latin-1, as headers are: the end of a control sequence, and of a line.
  const odd = 'containerd/2.1.4 "\u009b31m\u0085{"client":"10.0.0.1"}';
  expect(await get("app/manifests/1", odd)).toBe(200);
  await get(`app/manifests/${image.manifest.digest}`, "containerd/2.1.4");
  await get(`app/blobs/${layer?.digest}`, "containerd/2.1.4");
  // As repeated requests are, which no handler sees.
  await get("app/manifests/1", "containerd/2.1.4");
  await get("app/manifests/nope", "curl");
  await get("secret/app/manifests/1", "curl");
  // The lines of pulls under way are written as the cache ends.
  expect(await cache.stop()).toBe(0);
  const text = await readFile(file, "utf8");
  expect(text).not.toMatch(/[\u0080-\u009f]/);
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const client = "127.0.0.1";
  const size = image.manifest.size;
  expect(lines).toMatchObject([
    {
      client,
      image: "reg.test/app:1",
      digest: image.manifest.digest,
      outcome: "pulled",
      cache: "miss",
      requests: 4,
      blobs: 1,
      bytes: 3 * size + (layer?.size ?? 0),
    },
    { client, agent: "curl", image: "reg.test/app:nope", outcome: "not-found", requests: 1 },
    { client, agent: "curl", image: "reg.test/secret/app", outcome: "refused" },
  ]);
  await cache[Symbol.asyncDispose]();
});
