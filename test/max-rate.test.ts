import { expect, test } from "bun:test";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const KIB = 1024;

test("downloads keep to maxRate, stored, bypassed and by ranges, and are let go by a reload", async () => {
  await using upstream = await startScriptedUpstream();
  const [stored, bypassed] = [randomContent(24 * MIB, 1), randomContent(8 * MIB, 2)];
  upstream.addBlob("app", stored);
  upstream.addBlob("forwarded", bypassed);
  const base = { ...localUpstream(upstream.url), bypass: ["forwarded"] };
  const limited = { "reg.test": { ...base, maxRate: "128KiB" } };
  await using cache = await startEntrepot({
    config: { maxRate: "10MiB", upstreams: limited },
  });
  const path = (repository: string, { digest }: { digest: string }): string =>
    `/v2/${repository}/blobs/${digest}?ns=reg.test`;
  const startedAt = performance.now();
  const range = { headers: { range: `bytes=${20 * MIB}-${21 * MIB - 1}` } };
  const responses = await Promise.all([
    cache.get(path("app", stored)),
    cache.get(path("forwarded", bypassed)),
    cache.get(path("app", stored), range),
  ]);
  expect(responses.map(({ status }) => status)).toEqual([200, 200, 206]);
  let received = 0;
  const bodies = responses.map(async ({ body }) => {
    const chunks: Uint8Array[] = [];
    if (!body) return Buffer.concat(chunks);
    for await (const chunk of body) {
      chunks.push(chunk);
      received += chunk.byteLength;
    }
    return Buffer.concat(chunks);
  });
  await until(
    () => {
      const elapsed = performance.now() - startedAt;
      // The first part of each transfer does not wait.
      expect(received).toBeLessThanOrEqual((128 * KIB * elapsed) / 1000 + 16 * KIB);
      return received >= 128 * KIB;
    },
    { what: "a second of downloads" },
  );
  const { stdout } = await command(cache, "status");
  expect(stdout).toMatch(/Rates {6}all upstreams: .*\/s, at most 10 MiB\/s\n/);
  expect(stdout).toMatch(/ {11}reg\.test: .*\/s, at most 128 KiB\/s\n/);
  await cache.reconfigure({ upstreams: { "reg.test": base } });
  const [whole, forwarded, part] = await Promise.all(bodies);
  expect(whole?.equals(bytesOf(stored))).toBe(true);
  expect(forwarded?.equals(bytesOf(bypassed))).toBe(true);
  expect(part?.equals(bytesOf(stored).subarray(20 * MIB, 21 * MIB))).toBe(true);
}, 60_000);
