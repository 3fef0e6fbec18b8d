import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tagHistorySchema } from "../src/api/tag-history.ts";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { pull } from "./harness/cache/pull.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { filesImage, textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function historyOf(cache: Entrepot) {
  const response = await cache.getAdmin("/api/v1/tag-history?image=reg.test/app:1");
  return tagHistorySchema.parse(await response.json());
}

/** Once it is written down when each digest was first served. */
function completeHistory(cache: Entrepot) {
  const complete = async () => {
    const history = await historyOf(cache);
    return history.stays.every(({ firstServed }) => firstServed !== undefined) && history;
  };
  return until(complete, { what: "a complete history" });
}

test("what a tag pointed to outlives restarts, a purge, and a damaged metadata database", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const [before, after] = [textImage({ text: "before" }), textImage({ text: "after" })];
  const config = {
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s" } },
  };
  const digests = [after, before, after, before].map(({ manifest }) => manifest.digest);
  let known;
  {
    await using cache = await startEntrepot({ config, data });
    for (const image of [before, after, before]) {
      upstream.add("app", image, "1");
      await pull(cache, "app", "1", image);
    }
    known = await completeHistory(cache);
    expect(known.stays.map(({ digest }) => digest)).toEqual(digests.slice(1));
    const times = known.stays.flatMap(({ firstSeen, lastSeen }) => [lastSeen, firstSeen]);
    expect(times.toSorted((one, other) => other - one)).toEqual(times);
    await cache.stop();
  }
  {
    await using cache = await startEntrepot({ config, data });
    expect(await historyOf(cache)).toEqual(known);
    await command(cache, "purge", "reg.test/app:1");
    const purged = known.stays.map((stay) =>
      stay.digest === before.manifest.digest ? { ...stay, isStored: false } : stay,
    );
    expect((await historyOf(cache)).stays).toEqual(purged);
    upstream.add("app", after, "1");
    await pull(cache, "app", "1", after);
    known = await completeHistory(cache);
    expect(known.stays.map(({ digest }) => digest)).toEqual(digests);
    const reason = ["--reason", "it crashes"];
    await command(cache, "rollback", "reg.test/app:1", "--to", before.manifest.digest, ...reason);
    await pull(cache, "app", "1", before);
    known = await completeHistory(cache);
    expect(known).toMatchObject({
      served: before.manifest.digest,
      overrides: [{ reason: reason[1] }],
    });
    await cache.stop();
  }
  await writeFile(join(data, "metadata.db"), "not a database".repeat(1000));
  await upstream.stop();
  await using cache = await startEntrepot({ config, data });
  await cache.logged("metadata rebuilt");
  // When the latest one was last seen, and first served, is written down once it has moved.
  const [{ firstServed: _, lastSeen: _last, ...latest } = {}, ...earlier] = known.stays;
  const stays = [expect.objectContaining(latest), ...earlier];
  expect(await historyOf(cache)).toEqual({ ...known, stays });
  // An operator has decided so.
  await pull(cache, "app", "1", before);
}, 60_000);

test("the contents that a tag pointed to are evicted last", async () => {
  await using upstream = await startScriptedUpstream();
  const images = Array.from({ length: 11 }, (_, seed) =>
    filesImage([{ path: "random", content: bytesOf(randomContent(2.5 * MIB, seed + 1)) }]),
  );
  const config = {
    storage: { scrub: 0, maxSize: "20MiB", history: { share: "50%" } },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "0s" } },
  };
  await using cache = await startEntrepot({ config });
  for (const [at, image] of images.entries()) {
    const name = at < 3 ? "moves" : `other-${at}`;
    upstream.add("app", image, name);
    await pull(cache, "app", name, image);
  }
  await command(cache, "gc");
  const stored = new Set((await storedBlobs(cache.data)).map(({ digest }) => digest));
  const whole = images.map(({ manifest, blobs }) =>
    [manifest, ...blobs].every(({ digest }) => stored.has(digest)),
  );
  // Three of the tag that has moved; of those that were pulled after them, the first were evicted.
  expect(whole.slice(0, 6)).toEqual([true, true, true, false, false, false]);
  expect(whole.at(-1)).toBe(true);
}, 60_000);
