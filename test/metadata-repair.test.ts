import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { open, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { openMetadata } from "../src/store/sql/open-metadata.ts";
import { command, commandOn } from "./harness/cache/commands.ts";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { type Image, multiPlatformImage, textImage } from "./harness/images/images.ts";
import { pull } from "./harness/cache/pull.ts";
import { tempDir } from "./harness/temp-dir.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  return {
    storage: { scrub: 0, ...storage },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

/** Pulls and pins app:1 with a cache in this data directory, and stops the cache. */
async function pullAndPin(
  image: Image,
  { settings, data, signal }: { settings: object; data: string; signal?: NodeJS.Signals },
): Promise<void> {
  await using cache = await startEntrepot({ config: settings, data });
  await pull(cache, "app", "1", image);
  await command(cache, "pin", "reg.test/app:1");
  await cache.stop(signal);
}

/** The output of `ls` for the pulled and pinned image. */
const LS_OUTPUT = /reg\.test\/app +1 .* reg\.test\/app:1\n$/;

const corrupt = (data: string) =>
  writeFile(join(data, "metadata.db"), "not a database".repeat(1000));

/** Waits until the metadata database has a row for the manifest and every blob of an image. */
async function untilRecorded(metadata: Database, { blobs }: Image): Promise<void> {
  const recordedCount = (): number => metadata.query("select digest from blobs").all().length;
  const what = "the metadata to contain the whole image";
  await until(() => recordedCount() === 1 + blobs.length, { what, within: 30_000 });
}

test.concurrent(
  "a damaged metadata database is rebuilt, and images are served while their upstream is down",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = await multiPlatformImage();
    const moved = textImage({ text: "after" });
    upstream.add("app", textImage({ text: "before" }), "2");
    upstream.add("app", image, "1");
    const settings = config(upstream);
    await pullAndPin(image, { settings, data });
    await corrupt(data);
    await upstream.stop();
    await using cache = await startEntrepot({ config: settings, data });
    await cache.logged("metadata rebuilt");
    await pull(cache, "app", "1", image);
    expect((await command(cache, "ls")).stdout).toContain("reg.test/app:1");
    expect(moved.blobs.length).toBeGreaterThan(0);
  },
  60_000,
);

test.concurrent(
  "a metadata database that becomes corrupt while in use is rebuilt while the cache serves",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = await multiPlatformImage();
    const blob = randomContent(MIB, 21);
    upstream.add("app", image, "1");
    upstream.addBlob("other", blob);
    const settings = config(upstream);
    await pullAndPin(image, { settings, data });
    // More rows than SQLite's page cache holds, so that it has to read the corrupt pages.
    using metadata = new Database(join(data, "metadata.db"));
    const row = metadata.prepare(
      "INSERT INTO links VALUES ('none.test', 'a/repository', ?, 1, 1, NULL, 0)",
    );
    metadata.transaction(() => {
      for (let at = 0; at < 60_000; at += 1) row.run(`sha256:${at.toString(16).padStart(64, "0")}`);
    })();
    metadata.close();
    await using cache = await startEntrepot({ config: settings, data });
    await upstream.stop();
    const file = await open(join(data, "metadata.db"), "r+");
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size - 40_960), 0, size - 40_960, 40_960);
    await file.close();
    // The first request detects the damage, and gets its response once the database is rebuilt.
    const listed = async () => (await command(cache, "ls")).stdout;
    await until(async () => (await listed()).includes("reg.test/app "), {
      what: "a rebuilt database",
    });
    await cache.logged("metadata rebuilt");
    await pull(cache, "app", "1", image);
    expect(await listed()).toMatch(LS_OUTPUT);
    expect(await readdir(data)).toContain("metadata.db.damaged");
    await upstream.start();
    expect((await cache.get(`/v2/other/blobs/${blob.digest}?ns=reg.test`)).status).toBe(200);
    expect((await command(cache, "fsck")).stdout).toEndWith("All blobs match their digests.\n");
  },
  60_000,
);

test.each([
  [
    "deleted",
    async (data: string) => {
      for (const name of await readdir(data)) {
        if (name.startsWith("metadata.db")) await rm(join(data, name));
      }
    },
  ],
  [
    "truncated under a running cache",
    async (data: string, settings: object) => {
      await using idle = await startEntrepot({ config: settings, data });
      await truncate(join(idle.data, "metadata.db"));
    },
  ],
])(
  "a metadata database that was %s is rebuilt at the next start",
  async (_, damage) => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = textImage({ text: "cached" });
    upstream.add("app", image, "1");
    const settings = config(upstream);
    await pullAndPin(image, { settings, data });
    await damage(data, settings);
    await upstream.stop();
    await using cache = await startEntrepot({ config: settings, data });
    await cache.logged("metadata rebuilt");
    await pull(cache, "app", "1", image);
  },
  60_000,
);

test.concurrent(
  "a database that is corrupted while no cache runs, or whose rebuild was killed, is restored",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = textImage({ text: "cached" });
    upstream.add("app", image, "1");
    const settings = config(upstream);
    const configFile = dir.file("entrepot.yaml");
    await writeFile(configFile, stringify(settings));
    await pullAndPin(image, { settings, data });
    await upstream.stop();
    const path = join(data, "metadata.db");
    await corrupt(data);
    expect((await commandOn(data, configFile, "ls")).stdout).toMatch(LS_OUTPUT);
    expect((await commandOn(data, configFile, "ls")).stdout).toMatch(LS_OUTPUT);

    // The state after a kill -9 during a rebuild, before the first record was written.
    await rm(path);
    await (await openMetadata(path)).close();
    await writeFile(`${path}.rebuilding`, "");
    await using cache = await startEntrepot({ config: settings, data });
    await cache.logged("metadata rebuilt");
    await pull(cache, "app", "1", image);
    expect((await command(cache, "ls")).stdout).toMatch(LS_OUTPUT);
    await until(() => !existsSync(`${path}.rebuilding`), { what: "the rebuild to finish" });
  },
  60_000,
);

test.concurrent(
  "records and pins that were lost with the write-ahead log are restored",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = await multiPlatformImage();
    upstream.add("app", image, "1");
    const settings = config(upstream);
    await pullAndPin(image, { settings, data, signal: "SIGKILL" });
    // SQLite treats a corrupt frame as the end of the write-ahead log, without an error.
    const log = join(data, "metadata.db-wal");
    const bytes = await readFile(log);
    await writeFile(log, bytes.fill(0xff, 100, 200));
    await upstream.stop();
    const expectRestored = async (): Promise<void> => {
      await using cache = await startEntrepot({ config: settings, data });
      const pulled = async (): Promise<true> => pull(cache, "app", "1", image).then(() => true);
      await until(pulled, { what: "the image to be served" });
      const { stdout } = await command(cache, "ls");
      expect(stdout).toMatch(LS_OUTPUT);
      await cache.logged("lost metadata of stored blobs restored");
    };
    await expectRestored();
    // The same if only some tables lost their rows.
    for (const table of ["tags", "links"]) {
      using metadata = new Database(join(data, "metadata.db"));
      metadata.run(`DELETE FROM ${table}`);
      metadata.close();
      await expectRestored();
    }
  },
  60_000,
);

test.concurrent(
  "a purged tag stays purged when a damaged database is rebuilt, and other tags are restored",
  async () => {
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
      // Both tags move, and with them their records in the sidecar files.
      upstream.add("app", after, "1", "stays");
      await pull(cache, "app", "1", after);
      await pull(cache, "app", "stays", after);
      expect((await command(cache, "purge", "reg.test/app:1")).code).toBe(0);
      await upstream.stop();
      await pull(cache, "app", "stays", after);
    }
    await corrupt(data);
    await using cache = await startEntrepot({ config: settings, data });
    await cache.logged("metadata rebuilt");
    await pull(cache, "app", "stays", after);
    expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(502);
    const { images } = JSON.parse((await command(cache, "ls", "--json")).stdout);
    const listed = images.map(
      (one: { tag?: string; digest: string }) => `${one.digest} ${one.tag}`,
    );
    const expected = [`${before.manifest.digest} undefined`, `${after.manifest.digest} stays`];
    expect(listed.sort()).toEqual(expected.sort());
  },
  60_000,
);

test.concurrent(
  "an image pulled while another process locks the database is recorded once the lock is released",
  async () => {
    await using upstream = await startScriptedUpstream();
    const image = textImage({ text: "cached" });
    upstream.add("app", image, "1");
    await using cache = await startEntrepot({ config: config(upstream) });
    using otherProcess = new Database(join(cache.data, "metadata.db"));
    otherProcess.run("begin immediate");
    await pull(cache, "app", "1", image);
    const isTold = (): boolean =>
      cache.logs().some(({ problem: kind }) => kind === "failing-writes");
    await until(isTold, { what: "the locked database to be told of" });
    otherProcess.run("rollback");
    await untilRecorded(otherProcess, image);
    await upstream.stop();
    for (const { digest } of image.blobs) {
      expect((await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`)).status).toBe(200);
    }
  },
  90_000,
);

test.concurrent(
  "files and metadata are reconciled later if another process locked the database at the start",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("data");
    const data = dir.file("d");
    const image = textImage({ text: "cached" });
    upstream.add("app", image, "1");
    const settings = config(upstream);
    await pullAndPin(image, { settings, data });
    using otherProcess = new Database(join(data, "metadata.db"));
    otherProcess.run("delete from blobs");
    otherProcess.run("begin immediate");
    await using cache = await startEntrepot({ config: settings, data });
    await cache.logged("repairing the metadata failed; it will be retried", 20_000);
    otherProcess.run("rollback");
    await untilRecorded(otherProcess, image);
    expect((await command(cache, "ls")).stdout).toMatch(LS_OUTPUT);
  },
  90_000,
);
