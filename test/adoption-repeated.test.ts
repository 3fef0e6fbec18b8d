import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { commandOn } from "./harness/cache/commands.ts";
import { textImage } from "./harness/images/images.ts";
import { writeRegistryFolder } from "./harness/registries/registry-folder.ts";
import { tempDir } from "./harness/temp-dir.ts";

test("a repeated adoption takes tags that moved, completes what a killed one left, and says what is left out", async () => {
  await using dir = await tempDir("adopt");
  const registry = dir.file("registry");
  const [old, moved] = [textImage({ text: "old" }), textImage({ text: "moved" })];
  const config = dir.file("entrepot.yaml");
  await writeFile(config, JSON.stringify({ upstreams: { "reg.test": {} } }));
  const data = dir.file("d");
  const on = (...args: string[]) => commandOn(data, config, ...args);
  const adopt = () => on("adopt", registry, "--upstream", "reg.test", "--json");
  await writeRegistryFolder(registry, "team/app", "1", old);
  expect((await adopt()).code).toBe(0);

  {
    // As if it had been killed after it stored its last blob.
    using database = new Database(join(data, "metadata.db"));
    database.run("DELETE FROM blobs WHERE digest = ?", [old.blobs[0]?.digest ?? ""]);
    expect(database.query("SELECT changes() AS count").get()).toEqual({ count: 1 });
  }
  await writeRegistryFolder(registry, "team/app", "1", moved);
  const second = await adopt();
  expect([second.code, second.stderr]).toEqual([0, ""]);
  expect(JSON.parse(second.stdout)).toMatchObject({ tags: 1, manifests: 2 });
  expect((await on("fsck")).stdout).not.toContain("without a record");

  // The sidecar files alone say the same.
  for (const digest of [old, moved].map(({ manifest }) => manifest.digest)) {
    const hex = digest.slice("sha256:".length);
    const sidecar = await readFile(
      join(data, `sidecars/sha256/${hex.slice(0, 2)}/${hex}.json`),
      "utf8",
    );
    const tags = digest === moved.manifest.digest ? { 1: 0 } : {};
    expect(JSON.parse(sidecar)).toEqual({ places: [expect.objectContaining({ tags })] });
  }
  await writeFile(
    config,
    JSON.stringify({ storage: { minFree: "1000TiB" }, upstreams: { "reg.test": {} } }),
  );
  await writeRegistryFolder(registry, "team/app", "1", textImage({ text: "too much" }));
  const full = await adopt();
  expect([full.code, JSON.parse(full.stdout)]).toMatchObject([1, { omitted: 3 }]);
});
