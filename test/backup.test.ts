import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { command } from "./harness/cache/commands.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import { mustRun, run } from "./harness/processes.ts";
import { pull } from "./harness/cache/pull.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const IMAGES = 12;

/** As in docs/how-to/back-up-and-restore.md. */
const EXCLUDED = ["./metadata.db*", "./fills", "./quarantine", "./lock*"];

test("a copy of the data of a cache that is pulling is served elsewhere with the registry away, without and with its database", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("backup");
  const [archive, database] = [dir.file("backup.tar"), dir.file("metadata.db")];
  const images = Array.from({ length: IMAGES }, (__, index): [string, Image] => {
    const image = textImage({ text: `image ${index}` });
    upstream.add("app", image, `v${index}`);
    return [`v${index}`, image];
  });
  const config = {
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
  const before = images.slice(0, IMAGES / 2);
  {
    await using cache = await startEntrepot({ config });
    for (const [tag, image] of before) await pull(cache, "app", tag, image);
    await command(cache, "pin", "reg.test/app:v1");
    const pulling = (async () => {
      for (const [tag, image] of images.slice(IMAGES / 2)) await pull(cache, "app", tag, image);
    })();
    const excluded = EXCLUDED.map((pattern) => `--exclude=${pattern}`);
    const args = ["--create", "--file", archive, "--directory", cache.data, ...excluded, "."];
    const { code, stderr } = await run(["tar", ...args]);
    // 1: a file was replaced or removed meanwhile.
    expect([0, 1].includes(code) ? "" : stderr).toBe("");
    using metadata = new Database(`${cache.data}/metadata.db`, { readonly: true });
    // What `.backup` of sqlite3 does, too.
    metadata.run("VACUUM INTO ?", [database]);
    await pulling;
    await cache.stop("SIGKILL");
  }
  await upstream.stop();
  for (const withDatabase of [false, true]) {
    const data = dir.file(`restored-${String(withDatabase)}`);
    await mkdir(data);
    await mustRun(["tar", "--extract", "--file", archive, "--directory", data]);
    if (withDatabase) await Bun.write(`${data}/metadata.db`, Bun.file(database));
    await using cache = await startEntrepot({ config, data });
    if (!withDatabase) await cache.logged("metadata rebuilt");
    for (const [tag, image] of before) await pull(cache, "app", tag, image);
    const pins = await cache.getAdmin("/api/v1/pins");
    expect(await pins.text()).toContain("reg.test/app:v1");
  }
}, 60_000);
