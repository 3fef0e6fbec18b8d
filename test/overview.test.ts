import { expect, test } from "bun:test";
import { historySchema, imageClientsSchema } from "../src/api/history.ts";
import { tagHistorySchema } from "../src/api/tag-history.ts";
import { type Overview, overviewSchema } from "../src/api/overview.ts";
import { pullSchema } from "../src/api/pulls.ts";
import { command } from "./harness/cache/commands.ts";
import { randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const K3S = { "user-agent": "containerd/v1.7.20-k3s1" };

async function overviewOf(cache: Entrepot): Promise<Overview> {
  return overviewSchema.parse(await (await cache.getAdmin("/api/v1/overview")).json());
}

async function fetchedBytes(cache: Entrepot): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return Number(/^entrepot_upstream_bytes_total\{upstream="docker.io"\} (\d+)/m.exec(text)?.[1]);
}

/** The events of the cache, until the stream ends. */
async function* eventsOf(cache: Entrepot): AsyncGenerator<{ event: string; data: unknown }> {
  const { body } = await cache.getAdmin("/api/v1/events");
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, event] = /^event: (.*)$/m.exec(block) ?? [];
      const [, data] = /^data: (.*)$/m.exec(block) ?? [];
      if (event !== undefined && data !== undefined) yield { event, data: JSON.parse(data) };
    }
  }
}

test("the overview and the history tell what the cache did, also after a restart", async () => {
  await using upstream = await startScriptedUpstream();
  const [first, second] = [textImage({ text: "one" }), textImage({ text: "two" })];
  const layer = randomContent(2 * MIB, 1);
  upstream.add("library/app", first, "1");
  upstream.addBlob("library/app", layer);
  const config = { upstreams: { "docker.io": { ...localUpstream(upstream.url), tagTtl: "0s" } } };
  await using cache = await startEntrepot({ config });
  let sent = 0;
  const get = async (path: string, headers: Record<string, string> = K3S): Promise<void> => {
    const response = await cache.get(`/v2/library/app${path}?ns=docker.io`, { headers });
    const bytes = await response.bytes();
    if (response.ok) sent += bytes.byteLength;
  };
  upstream.respond(() => ({
    headers: { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600" },
  }));
  await get("/manifests/1");
  for (let count = 0; count < 3; count += 1) await get(`/blobs/${layer.digest}`);
  // The node knows the tag, and asks by digest.
  await get(`/manifests/${first.manifest.digest}`, {
    "user-agent": "docker/27.3.1 go/go1.22.7 os/linux",
  });
  await get("/manifests/missing");
  upstream.respond(() => faults.errorResponse(503, "UNAVAILABLE"));
  await get("/manifests/1");
  const overview = await overviewOf(cache);

  // With the bodies of errors, which no client counts as saved.
  const fetched = await fetchedBytes(cache);
  expect(fetched).toBeGreaterThan(layer.size + first.manifest.size);
  const { day, week, month } = overview.saved;
  expect(day).toMatchObject({ bytes: sent - fetched, hubRequests: 2, hitRatioByRequests: 4 / 6 });
  expect(day.series).toHaveLength(48);
  expect(day.series.at(-1)).toBe(day.bytes);
  expect(day.hitRatioByBytes).toBeCloseTo(1 - fetched / sent, 3);
  expect([week.bytes, month.bytes]).toEqual([day.bytes, day.bytes]);
  const [registry] = overview.registries;
  expect(registry).toMatchObject({ name: "docker.io", budget: { left: 76, limit: 100 } });
  expect(registry?.beats).toHaveLength(48);
  expect(registry?.beats.at(-1)).toBe("failed");
  expect(registry?.latencyMs).toBeGreaterThan(0);
  expect(overview.nodes).toMatchObject([{ address: "127.0.0.1", runtime: "k3s", requests: 7 }]);
  const shown = overview.pulls.map(({ image, result, requests, runtime }) => [
    image.replace("docker.io/library/", ""),
    result,
    requests,
    runtime,
  ]);
  expect(shown).toEqual([
    ["app:1", "stale", 1, "k3s 1.7.20-k3s1"],
    ["app:missing", "refused", 1, "k3s 1.7.20-k3s1"],
    ["app:1", "hit", 1, "docker 27.3.1"],
    ["app:1", "miss", 4, "k3s 1.7.20-k3s1"],
  ]);
  expect(overview.pulls[0]?.reason).toContain("503");
  const status = await command(cache, "status");
  expect(status.stdout).toContain(overview.health.sentence);

  upstream.respond();
  upstream.add("library/app", second, "1");
  await get("/manifests/1");
  const ofTag = `image=${encodeURIComponent("app:1")}`;
  const moved = tagHistorySchema.parse(
    await (await cache.getAdmin(`/api/v1/tag-history?${ofTag}`)).json(),
  );
  expect([moved.digest, moved.stays.map(({ digest }) => digest)]).toEqual([
    second.manifest.digest,
    [second.manifest.digest, first.manifest.digest],
  ]);

  const fetchedAtLast = await fetchedBytes(cache);
  await cache.stop();
  await using next = await startEntrepot({ config, data: cache.data });
  const later = await overviewOf(next);
  expect(later.saved.day).toMatchObject({
    bytes: sent - fetchedAtLast,
    secondsNotWaited: expect.any(Number),
  });
  expect(later.nodes).toMatchObject([{ address: "127.0.0.1", runtime: "k3s", requests: 0 }]);
  const clients = imageClientsSchema.parse(
    await (await next.getAdmin("/api/v1/image-clients?image=app")).json(),
  );
  expect(clients.items).toMatchObject([{ client: "127.0.0.1", reference: "1", pulls: 3 }]);
  const week7 = historySchema.parse(
    await (await next.getAdmin("/api/v1/history?period=week")).json(),
  );
  expect(week7.upstreams[0]?.sentBytes.at(-1)).toBe(sent);
  const refused = await next.getAdmin("/api/v1/tag-history?image=a%20b");
  expect([refused.status, await refused.json()]).toMatchObject([
    400,
    { next: "write it as docker.io/library/nginx:1.27" },
  ]);
});

test("events tell each change, and a stop of the cache ends them at once", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("library/app", textImage({ text: "one" }), "1");
  const config = { upstreams: { "docker.io": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  const events = eventsOf(cache);
  const next = async (name: string) => {
    for (;;) {
      const { done, value } = await events.next();
      if (done) return undefined;
      if (value.event === name) return value.data;
    }
  };
  expect(overviewSchema.parse(await next("overview")).pulls).toEqual([]);
  await (await cache.get("/v2/library/app/manifests/1?ns=docker.io")).bytes();
  const [pull] = pullSchema.array().parse(await next("pull"));
  expect(pull).toMatchObject({ image: "docker.io/library/app:1", result: "miss", requests: 1 });
  expect(overviewSchema.parse(await next("overview")).pulls).toMatchObject([{ id: pull?.id }]);
  const stopped = cache.stop();
  await until(async () => (await next("overview")) === undefined, {
    what: "the end of the events",
  });
  expect(await stopped).toBe(0);
});
