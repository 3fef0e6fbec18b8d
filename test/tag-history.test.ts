import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tagHistorySchema } from "../src/api/history.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { pull } from "./harness/cache/pull.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { command } from "./harness/cache/commands.ts";

async function historyOf(cache: Entrepot, image: string) {
  const path = `/api/v1/tag-history?image=${encodeURIComponent(image)}`;
  return tagHistorySchema.parse(await (await cache.getAdmin(path)).json());
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
  let known: Awaited<ReturnType<typeof historyOf>>;
  {
    await using cache = await startEntrepot({ config, data });
    for (const image of [before, after, before]) {
      upstream.add("app", image, "1");
      await pull(cache, "app", "1", image);
    }
    known = await historyOf(cache, "reg.test/app:1");
    expect(known.stays.map(({ digest }) => digest)).toEqual(digests.slice(1));
    const times = known.stays.flatMap(({ firstSeen, lastSeen }) => [lastSeen, firstSeen]);
    expect(times.toSorted((one, other) => other - one)).toEqual(times);
    await cache.stop();
  }
  {
    await using cache = await startEntrepot({ config, data });
    expect(await historyOf(cache, "reg.test/app:1")).toEqual(known);
    await command(cache, "purge", "reg.test/app:1");
    const { stays } = known;
    expect(await historyOf(cache, "reg.test/app:1")).toEqual({ image: "reg.test/app:1", stays });
    upstream.add("app", after, "1");
    await pull(cache, "app", "1", after);
    known = await historyOf(cache, "reg.test/app:1");
    expect(known.stays.map(({ digest }) => digest)).toEqual(digests);
    await cache.stop();
  }
  await writeFile(join(data, "metadata.db"), "not a database".repeat(1000));
  await upstream.stop();
  await using cache = await startEntrepot({ config, data });
  await cache.logged("metadata rebuilt");
  await pull(cache, "app", "1", after);
  expect(await historyOf(cache, "reg.test/app:1")).toEqual(known);
}, 60_000);
