import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { open, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { openMetadata } from "../src/store/sql/open-metadata.ts";
import { command, commandOn } from "./harness/commands.ts";
import { randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { type Image, multiPlatformImage, textImage } from "./harness/images.ts";
import { pull } from "./harness/pull.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  return {
    storage: { scrub: 0, ...storage },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

/** A cache keeps app:1 in this data folder, pinned, and ends. */
async function keep(
  image: Image,
  { settings, data, by }: { settings: object; data: string; by?: NodeJS.Signals },
): Promise<void> {
  await using cache = await startEntrepot({ config: settings, data });
  await pull(cache, "app", "1", image);
  await command(cache, "pin", "reg.test/app:1");
  await cache.stop(by);
}

/** What `ls` tells of it then. */
const KEPT = /reg\.test\/app +1 .* reg\.test\/app:1\n$/;

const spoil = (data: string) =>
  writeFile(join(data, "metadata.db"), "this is no database".repeat(1000));

/** Waits until an index has a row for every content of an image. */
async function knownTo(index: Database, { blobs }: Image): Promise<void> {
  const known = (): number => index.query("select digest from blobs").all().length;
  const what = "the index to know all of the image";
  await until(() => known() === 1 + blobs.length, { what, within: 30_000 });
}

test("a damaged index is made again, and its images served with their upstream away", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = await multiPlatformImage();
  const moved = textImage({ text: "after" });
  upstream.add("app", textImage({ text: "before" }), "2");
  upstream.add("app", image, "1");
  const settings = config(upstream);
  await keep(image, { settings, data });
  await spoil(data);
  await upstream.stop();
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
  expect((await command(cache, "ls")).stdout).toContain("reg.test/app:1");
  expect(moved.blobs.length).toBeGreaterThan(0);
}, 60_000);

test("an index that breaks while it is used is made again beside traffic", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = await multiPlatformImage();
  const blob = randomContent(MIB, 21);
  upstream.add("app", image, "1");
  upstream.addBlob("other", blob);
  const settings = config(upstream);
  await keep(image, { settings, data });
  // More than SQLite keeps in memory, so that it has to read what is broken.
  using index = new Database(join(data, "metadata.db"));
  const row = index.prepare("INSERT INTO links VALUES ('none.test', 'a/repository', ?, 1)");
  index.transaction(() => {
    for (let at = 0; at < 60_000; at += 1) row.run(`sha256:${at.toString(16).padStart(64, "0")}`);
  })();
  index.close();
  await using cache = await startEntrepot({ config: settings, data });
  await upstream.stop();
  const file = await open(join(data, "metadata.db"), "r+");
  const { size } = await file.stat();
  await file.write(Buffer.alloc(size - 40_960), 0, size - 40_960, 40_960);
  await file.close();
  // Whoever comes first finds it, and is answered as soon as there is one again.
  const listed = async () => (await command(cache, "ls")).stdout;
  await until(async () => (await listed()).includes("reg.test/app "), { what: "a new index" });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
  expect(await listed()).toMatch(KEPT);
  expect(await readdir(data)).toContain("metadata.db.damaged");
  await upstream.start();
  expect((await cache.get(`/v2/other/blobs/${blob.digest}?ns=reg.test`)).status).toBe(200);
  expect((await command(cache, "fsck")).stdout).toEndWith("Every byte is what its digest says.\n");
}, 60_000);

test("an index that was taken away is made again", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = textImage({ text: "kept" });
  upstream.add("app", image, "1");
  const settings = config(upstream);
  await keep(image, { settings, data });
  for (const name of await readdir(data)) {
    if (name.startsWith("metadata.db")) await rm(join(data, name));
  }
  await upstream.stop();
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
}, 60_000);

test("an index that was emptied under a cache that runs is made again at the next start", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = textImage({ text: "kept" });
  upstream.add("app", image, "1");
  const settings = config(upstream);
  await keep(image, { settings, data });
  {
    await using idle = await startEntrepot({ config: settings, data });
    await truncate(join(idle.data, "metadata.db"));
  }
  await upstream.stop();
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
}, 60_000);

test("an index whose making was killed, or that breaks while no cache runs, has its facts again", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = textImage({ text: "kept" });
  upstream.add("app", image, "1");
  const settings = config(upstream);
  const configFile = dir.file("entrepot.yaml");
  await writeFile(configFile, stringify(settings));
  await keep(image, { settings, data });
  await upstream.stop();
  const path = join(data, "metadata.db");
  await spoil(data);
  expect((await commandOn(data, configFile, "ls")).stdout).toMatch(KEPT);
  expect((await commandOn(data, configFile, "ls")).stdout).toMatch(KEPT);

  // As a kill -9 leaves it that comes when nothing but the index is there.
  await rm(path);
  await (await openMetadata(path)).close();
  await writeFile(`${path}.rebuilding`, "");
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
  expect((await command(cache, "ls")).stdout).toMatch(KEPT);
  await until(() => !existsSync(`${path}.rebuilding`), { what: "a whole index" });
}, 60_000);

test("facts that the index lost with its log are there again, and pins", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = await multiPlatformImage();
  upstream.add("app", image, "1");
  const settings = config(upstream);
  await keep(image, { settings, data, by: "SIGKILL" });
  // SQLite takes a log for ended where a part of it is not as it was written, and says nothing.
  const log = join(data, "metadata.db-wal");
  const bytes = await readFile(log);
  await writeFile(log, bytes.fill(0xff, 100, 200));
  await upstream.stop();
  const isThereAgain = async (): Promise<void> => {
    await using cache = await startEntrepot({ config: settings, data });
    const pulled = async (): Promise<true> => pull(cache, "app", "1", image).then(() => true);
    await until(pulled, { what: "an image that can be pulled" });
    const { stdout } = await command(cache, "ls");
    expect(stdout).toMatch(KEPT);
    await cache.logged("the index knows facts about stored manifests again that it did not know");
  };
  await isThereAgain();
  // And where only the last of it went.
  for (const table of ["tags", "links"]) {
    using index = new Database(join(data, "metadata.db"));
    index.run(`DELETE FROM ${table}`);
    index.close();
    await isThereAgain();
  }
}, 60_000);

test("what was purged stays away when a damaged index is made again, and what stays can be pulled", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const [before, after] = [textImage({ text: "before" }), textImage({ text: "after" })];
  upstream.add("app", before, "1", "stays");
  const settings = {
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: 0 } },
  };
  {
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", before);
    await pull(cache, "app", "stays", before);
    // Both tags move, and with them what stands beside the manifests.
    upstream.add("app", after, "1", "stays");
    await pull(cache, "app", "1", after);
    await pull(cache, "app", "stays", after);
    expect((await command(cache, "purge", "reg.test/app:1")).code).toBe(0);
    await upstream.stop();
    await pull(cache, "app", "stays", after);
  }
  await spoil(data);
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("the index was made again");
  await pull(cache, "app", "stays", after);
  expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(502);
  const { images } = JSON.parse((await command(cache, "ls", "--json")).stdout);
  const listed = images.map((one: { tag?: string; digest: string }) => `${one.digest} ${one.tag}`);
  const still = [`${before.manifest.digest} undefined`, `${after.manifest.digest} stays`];
  expect(listed.sort()).toEqual(still.sort());
}, 60_000);

test("what was pulled while a stranger kept the index locked is known to it once it is free", async () => {
  await using upstream = await startScriptedUpstream();
  const image = textImage({ text: "kept" });
  upstream.add("app", image, "1");
  await using cache = await startEntrepot({ config: config(upstream) });
  using stranger = new Database(join(cache.data, "metadata.db"));
  stranger.run("begin immediate");
  await pull(cache, "app", "1", image);
  await cache.logged("a fact was not written");
  stranger.run("rollback");
  await knownTo(stranger, image);
  await upstream.stop();
  for (const { digest } of image.blobs) {
    expect((await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`)).status).toBe(200);
  }
}, 90_000);

test("files and index are compared again where a stranger's lock was in the way at the start", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = textImage({ text: "kept" });
  upstream.add("app", image, "1");
  const settings = config(upstream);
  await keep(image, { settings, data });
  using stranger = new Database(join(data, "metadata.db"));
  stranger.run("delete from blobs");
  stranger.run("begin immediate");
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("repairing the metadata failed; it is tried again", 20_000);
  stranger.run("rollback");
  await knownTo(stranger, image);
  expect((await command(cache, "ls")).stdout).toMatch(KEPT);
}, 90_000);
