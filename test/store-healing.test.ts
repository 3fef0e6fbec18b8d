import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { openIndex } from "../src/store/open-index.ts";
import { command, commandOn } from "./harness/commands.ts";
import { bytesOf, randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { multiPlatformImage, textImage } from "./harness/images.ts";
import { pull } from "./harness/pulling.ts";
import { tempDir } from "./harness/places.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs } from "./harness/stored.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  return {
    storage: { scrub: 0, ...storage },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

test("a flipped bit is found, set aside, and never served again", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(2 * MIB, 4);
  upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  await (await cache.get(path)).bytes();
  const flip = async (): Promise<void> => {
    const [file] = await storedBlobs(cache.data);
    const bytes = await readFile(file?.path ?? "");
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    await writeFile(file?.path ?? "", bytes);
  };
  expect((await command(cache, "fsck")).code).toBe(0);
  await flip();
  const found = await command(cache, "fsck");
  expect([found.code, found.stdout]).toEqual([
    1,
    `Verified 1 file, 2 MiB.
corrupt: ${blob.digest}
1 content was set aside in the folder set-aside; it is fetched anew when asked for (a running cache does not serve what it knows to be corrupt).
`,
  ]);
  expect(await storedBlobs(cache.data)).toEqual([]);
  expect(await readdir(join(cache.data, "set-aside"))).toHaveLength(1);
  expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
  expect((await command(cache, "fsck", "--json")).code).toBe(0);

  // The same on the folder of one that is stopped, where nothing is touched without being asked.
  await flip();
  await cache.stop();
  const onFolder = (...args: string[]) => commandOn(cache.data, cache.configFile, ...args);
  expect((await onFolder("fsck")).code).toBe(1);
  expect(await storedBlobs(cache.data)).toHaveLength(1);
  expect((await onFolder("fsck", "--repair")).code).toBe(1);
  expect((await onFolder("fsck")).code).toBe(0);
  expect((await onFolder("ls")).stdout).toBe("Nothing is cached yet.\n");
  expect((await onFolder("gc")).code).toBe(0);
  expect((await onFolder("pin", "x")).code).toBe(1);
}, 60_000);

test("a file that somebody took away is filled again, and who met its absence may come again", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(2 * MIB, 6);
  upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  for (let times = 0; times < 2; times += 1) await (await cache.get(path)).bytes();
  const [file] = await storedBlobs(cache.data);
  await rm(file?.path ?? "");
  const met = await cache.get(path);
  expect([met.status, await met.json()]).toEqual([
    503,
    { errors: [expect.objectContaining({ code: "UNAVAILABLE" })] },
  ]);
  await until(async () => (await cache.get(path)).status === 200, { what: "another fill" });
  expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
  await cache.logged("a stored content cannot be read");
});

test("the scrub in the background finds a flipped bit by itself", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const blob = randomContent(MIB, 8);
  upstream.addBlob("app", blob);
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  {
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    await (await cache.get(path)).bytes();
  }
  const [file] = await storedBlobs(data.file("d"));
  const bytes = await readFile(file?.path ?? "");
  bytes[7] = (bytes[7] ?? 0) ^ 1;
  await writeFile(file?.path ?? "", bytes);
  await using cache = await startEntrepot({
    config: config(upstream, { scrub: "100MiB" }),
    data: data.file("d"),
  });
  await cache.logged(
    "a stored content was corrupt: it was set aside and is fetched anew when asked for",
  );
  const metrics = await (await cache.getAdmin("/metrics")).text();
  expect(metrics).toContain("entrepot_corrupt_contents 1");
  expect(metrics).toContain(`entrepot_scrub_bytes_total ${MIB}`);
  expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
}, 60_000);

test("a damaged index is made again, and its images served with their upstream away", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const image = await multiPlatformImage();
  const moved = textImage({ text: "after" });
  upstream.add("app", textImage({ text: "before" }), "2");
  upstream.add("app", image, "1");
  const settings = config(upstream);
  {
    await using cache = await startEntrepot({ config: settings, data: data.file("d") });
    await pull(cache, "app", "1", image);
    await command(cache, "pin", "reg.test/app:1");
  }
  await writeFile(join(data.file("d"), "index.db"), "this is no database".repeat(1000));
  await upstream.stop();
  await using cache = await startEntrepot({ config: settings, data: data.file("d") });
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
  {
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", image);
    await command(cache, "pin", "reg.test/app:1");
  }
  // More than SQLite keeps in memory, so that it has to read what is broken.
  using index = new Database(join(data, "index.db"));
  const row = index.prepare("INSERT INTO links VALUES ('none.test', 'a/repository', ?, 1)");
  index.transaction(() => {
    for (let at = 0; at < 60_000; at += 1) row.run(`sha256:${at.toString(16).padStart(64, "0")}`);
  })();
  index.close();
  await using cache = await startEntrepot({ config: settings, data });
  await upstream.stop();
  const file = await open(join(data, "index.db"), "r+");
  const { size } = await file.stat();
  await file.write(Buffer.alloc(size - 40_960), 0, size - 40_960, 40_960);
  await file.close();
  // Whoever comes first finds it, and is answered as soon as there is one again.
  const listed = async () => (await command(cache, "ls")).stdout;
  await until(async () => (await listed()).includes("reg.test/app "), { what: "a new index" });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
  expect(await listed()).toMatch(/reg\.test\/app +1 .* reg\.test\/app:1\n$/);
  expect(await readdir(data)).toContain("index.db.damaged");
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
  {
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", image);
  }
  for (const name of await readdir(data)) {
    if (name.startsWith("index.db")) await rm(join(data, name));
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
  {
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", image);
    await command(cache, "pin", "reg.test/app:1");
  }
  await upstream.stop();
  const listed = /reg\.test\/app +1 .* reg\.test\/app:1\n$/;
  const path = join(data, "index.db");
  await writeFile(path, "this is no database".repeat(1000));
  expect((await commandOn(data, configFile, "ls")).stdout).toMatch(listed);
  expect((await commandOn(data, configFile, "ls")).stdout).toMatch(listed);

  // As a kill -9 leaves it that comes when nothing but the index is there.
  await rm(path);
  await (await openIndex(path)).close();
  await writeFile(`${path}.remaking`, "");
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
  expect((await command(cache, "ls")).stdout).toMatch(listed);
  await until(() => !existsSync(`${path}.remaking`), { what: "a whole index" });
}, 60_000);

test("facts that the index lost with its log are there again, and pins", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = await multiPlatformImage();
  upstream.add("app", image, "1");
  const settings = config(upstream);
  {
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", image);
    await command(cache, "pin", "reg.test/app:1");
    await cache.stop("SIGKILL");
  }
  // SQLite takes a log for ended where a part of it is not as it was written, and says nothing.
  const log = join(data, "index.db-wal");
  const bytes = await readFile(log);
  await writeFile(log, bytes.fill(0xff, 100, 200));
  await upstream.stop();
  const isThereAgain = async (): Promise<void> => {
    await using cache = await startEntrepot({ config: settings, data });
    const pulled = async (): Promise<true> => pull(cache, "app", "1", image).then(() => true);
    await until(pulled, { what: "an image that can be pulled" });
    const { stdout } = await command(cache, "ls");
    expect(stdout).toMatch(/reg\.test\/app +1 .* reg\.test\/app:1\n$/);
  };
  await isThereAgain();
  // And where only the last of it went.
  for (const table of ["tags", "links"]) {
    using index = new Database(join(data, "index.db"));
    index.run(`DELETE FROM ${table}`);
    index.close();
    await isThereAgain();
  }
}, 60_000);

test("what was purged stays away when a damaged index is made again, and what stays can be pulled", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const [before, after] = [textImage({ text: "before" }), textImage({ text: "after" })];
  upstream.add("app", before, "1", "stays");
  const settings = {
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: 0 } },
  };
  {
    await using cache = await startEntrepot({ config: settings, data: data.file("d") });
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
  await writeFile(join(data.file("d"), "index.db"), "this is no database".repeat(1000));
  await using cache = await startEntrepot({ config: settings, data: data.file("d") });
  await cache.logged("the index was made again");
  await pull(cache, "app", "stays", after);
  expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(502);
  const { images } = JSON.parse((await command(cache, "ls", "--json")).stdout);
  const listed = images.map((one: { tag?: string; digest: string }) => `${one.digest} ${one.tag}`);
  const still = [`${before.manifest.digest} undefined`, `${after.manifest.digest} stays`];
  expect(listed.sort()).toEqual(still.sort());
}, 60_000);

test("files without facts and facts without files are mended beside traffic", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const [kept, lost] = [randomContent(MIB, 1), randomContent(MIB, 2)];
  for (const blob of [kept, lost]) upstream.addBlob("app", blob);
  const path = (digest: string) => `/v2/app/blobs/${digest}?ns=reg.test`;
  {
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    for (const blob of [kept, lost]) await (await cache.get(path(blob.digest))).bytes();
  }
  using index = new Database(join(data.file("d"), "index.db"));
  index.run("DELETE FROM contents WHERE digest = ?", [kept.digest]);
  for (const file of await storedBlobs(data.file("d"))) {
    if (file.digest === lost.digest) await Bun.file(file.path).delete();
  }
  await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
  const line = await cache.logged("index and files agree");
  expect(line).toMatchObject({ found: 1, lost: 1 });
  const digests = index.query("SELECT digest FROM contents").values().flat();
  expect(digests).toEqual([kept.digest]);
}, 60_000);

test("what a clock that was set back has used in times to come is evicted in its turn", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const image = textImage({ text: "used" });
  upstream.add("app", image, "1");
  const settings = config(upstream);
  {
    await using cache = await startEntrepot({ config: settings, data });
    await pull(cache, "app", "1", image);
  }
  using index = new Database(join(data, "index.db"));
  index.run("UPDATE contents SET used_at = used_at + 1e12, stored_at = stored_at + 1e12");
  await using cache = await startEntrepot({ config: settings, data });
  await pull(cache, "app", "1", image);
  const last = index.prepare<{ last: number }, []>(
    "SELECT max(max(used_at, stored_at)) AS last FROM contents",
  );
  await until(() => (last.get()?.last ?? Infinity) <= Date.now(), { what: "times of the past" });
}, 60_000);
