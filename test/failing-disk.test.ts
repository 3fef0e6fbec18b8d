import { expect } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { partialName } from "../src/store/partial-name.ts";
import { commandOn } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { DataPaths } from "./harness/cache/data-paths.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import { concurrentRealTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { wrongFigures } from "./harness/cache/store-figures.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import {
  injectSystemFault,
  READS,
  REMOVALS,
  STATS,
  SYNCS,
  withSystemFault,
} from "./harness/faults/system-faults.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  const upstreams = { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } };
  return { storage: { scrub: 0, ...storage }, upstreams };
}

concurrentRealTest("fsck keeps a blob that cannot be read, also with --repair", async () => {
  await using upstream = await startScriptedUpstream();
  const [bad, good] = [randomContent(2 * MIB, 1), randomContent(MIB, 2)];
  for (const blob of [bad, good]) upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  for (const { digest } of [bad, good]) {
    await (await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`)).bytes();
  }
  await cache.stop();
  const stored = await storedBlobs(cache.data);
  const paths = stored
    .filter(({ path }) => path.endsWith(bad.digest.slice(7)))
    .map((one) => one.path);
  const flags = ["--config", cache.configFile, "--admin", "127.0.0.1:1", "--data", cache.data];
  const fsck = await run(
    withSystemFault({ calls: READS, paths, error: "EIO" }, [PROGRAM, "fsck", "--repair", ...flags]),
  );
  expect(fsck.stdout).toBe(`Verified 2 blobs, 1 MiB.
unreadable: ${bad.digest}: the disk reports an input/output error: check the kernel log (EIO)
1 blob could not be read, and was not verified. It stays where it is: mend the reason, and run again. A running cache fetches it from the registry meanwhile.
`);
  expect(fsck.code).toBe(1);
  expect(await storedBlobs(cache.data)).toEqual(stored);
  const again = await commandOn(cache.data, cache.configFile, "fsck");
  expect([again.code, again.stdout]).toEqual([
    0,
    "Verified 2 blobs, 3 MiB.\nAll blobs match their digests.\n",
  ]);
});

concurrentRealTest(
  "while the metadata database cannot be read, pulls go on, and nothing is lost",
  async () => {
    await using upstream = await startScriptedUpstream();
    const image = textImage({ text: "an image" });
    upstream.add("app", image, "1");
    await using data = await tempDir("data");
    const references = ["1", image.manifest.digest];
    const pullAll = async (cache: Entrepot): Promise<number[]> =>
      Promise.all(
        references.map(async (reference) => {
          const response = await cache.get(`/v2/app/manifests/${reference}?ns=reg.test`);
          await response.bytes();
          return response.status;
        }),
      );
    const start = () => startEntrepot({ config: config(upstream), data: data.file("d") });
    {
      await using cache = await start();
      expect(await pullAll(cache)).toEqual([200, 200]);
    }
    // After a restart, nothing of the database is in memory.
    await using cache = await start();
    const paths = ["", "-wal", "-shm"].map((suffix) => data.file("d", `metadata.db${suffix}`));
    {
      await using _ = await injectSystemFault(cache.pid, { calls: READS, paths, error: "EIO" });
      expect(await pullAll(cache)).toEqual([200, 200]);
      const ready = await cache.getAdmin("/readyz");
      expect([ready.status, await ready.text()]).toEqual([
        503,
        expect.stringContaining("cannot be opened: disk I/O error"),
      ]);
      expect((await cache.getAdmin("/healthz")).status).toBe(200);
      const status = await (await cache.getAdmin("/api/v1/status")).json();
      expect(status).toMatchObject({ problems: [expect.stringContaining("disk I/O error")] });
    }
    await cache.logged("the metadata database is well again", 20_000);
    expect((await cache.getAdmin("/readyz")).status).toBe(200);
    expect(await Bun.file(data.file("d", "metadata.db.damaged")).exists()).toBe(false);
    await upstream.stop();
    expect(await pullAll(cache)).toEqual([200, 200]);
  },
);

concurrentRealTest(
  "while nothing of the database works, the cache tells its status and ends with exit code 0",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(MIB, 1);
    upstream.addBlob("app", blob);
    await using data = await tempDir("data");
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    const start = () => startEntrepot({ config: config(upstream), data: data.file("d") });
    {
      await using cache = await start();
      await (await cache.get(path)).bytes();
      const paths = ["", "-wal", "-shm", ".clean"].map((end) =>
        data.file("d", `metadata.db${end}`),
      );
      {
        await using _ = await injectSystemFault(cache.pid, { calls: STATS, paths, error: "EIO" });
        expect((await cache.getAdmin("/api/v1/status")).status).toBe(200);
      }
      const calls = [...STATS, ...READS, ...SYNCS];
      await using _ = await injectSystemFault(cache.pid, { calls, paths, error: "EIO" });
      expect([await cache.stop(), cache.output()]).toEqual([0, expect.stringContaining("stopped")]);
      expect(cache.output()).not.toContain("    at ");
    }
    await upstream.stop();
    await using cache = await start();
    expect((await cache.get(path)).status).toBe(200);
  },
);

concurrentRealTest(
  "a disk that cannot be measured for a while stores and evicts as before",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 6 }, (_, at) => randomContent(4 * MIB, at + 1));
    for (const blob of blobs) upstream.addBlob("app", blob);
    await using cache = await startEntrepot({
      config: config(upstream, { maxSize: "16MiB", minFree: 0 }),
    });
    const pull = async (): Promise<string[]> => {
      const cacheStatus: string[] = [];
      for (const { digest } of blobs) {
        const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
        await response.bytes();
        cacheStatus.push(`${response.status} ${response.headers.get("cache-status")}`);
      }
      return cacheStatus;
    };
    const miss = "200 entrepot; fwd=miss; stored";
    {
      await using _ = await injectSystemFault(cache.pid, { calls: ["statfs"], error: "EIO" });
      expect(await pull()).toEqual(blobs.map(() => miss));
      const status = await (await cache.getAdmin("/api/v1/status")).json();
      expect(status).toMatchObject({ storage: { isFull: false } });
      await cache.logged("measuring the disk failed; it will be retried");
    }
  },
);

concurrentRealTest("a start on a disk that cannot be measured says so", async () => {
  await using data = await tempDir("data");
  const flags = ["--data", data.path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  const fault = { calls: ["statfs"], paths: [data.path], error: "EIO" };
  const { code, stderr } = await run(withSystemFault(fault, [PROGRAM, "serve", ...flags]));
  expect([code, stderr]).toEqual([
    1,
    `entrepot: the cache's storage failed: cannot measure the disk of ${data.path}: the disk reports an input/output error: check the kernel log (EIO)\n`,
  ]);
});

concurrentRealTest("a start that cannot remove a file names the error of the disk", async () => {
  await using data = await tempDir("data");
  const path = data.file("metadata.db.clean");
  await writeFile(path, "");
  const flags = ["--data", data.path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  const fault = { calls: REMOVALS, paths: [path], error: "EIO" };
  const { code, stderr } = await run(withSystemFault(fault, [PROGRAM, "serve", ...flags]));
  expect([code, stderr]).toEqual([1, expect.stringContaining("input/output error")]);
});

concurrentRealTest(
  "a data directory that cannot be looked at for a moment has not vanished",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(MIB, 1);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream) });
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    await (await cache.get(path)).bytes();
    {
      const names = ["", "lock", "metadata.db", "blobs", "fills", "sidecars"];
      const paths = names.map((name) => join(cache.data, name));
      // The disk is looked at right before it is measured.
      const fault = { calls: [...STATS, "statfs"], paths, error: "EACCES" };
      await using _ = await injectSystemFault(cache.pid, fault);
      await cache.logged("measuring the disk failed; it will be retried");
    }
    expect(cache.logs().filter((line) => "vanished" in line)).toEqual([]);
    await upstream.stop();
    expect((await cache.get(path)).status).toBe(200);
  },
);

concurrentRealTest(
  "a blob whose folder cannot be synced is not stored, and takes no space",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(MIB, 1);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream) });
    const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
    const hex = blob.digest.slice(7);
    {
      const paths = [join(cache.data, "blobs/sha256", hex.slice(0, 2))];
      await using _ = await injectSystemFault(cache.pid, { calls: SYNCS, paths, error: "EACCES" });
      expect(await (await cache.get(path)).bytes()).toEqual(bytesOf(blob));
      await cache.logged("blob downloaded but not stored");
      expect(await storedBlobs(cache.data)).toEqual([]);
    }
    expect(await (await cache.get(path)).bytes()).toEqual(bytesOf(blob));
    // It is a hit as soon as it is verified.
    const isStored = async (): Promise<boolean> => (await storedBlobs(cache.data)).length === 1;
    await until(isStored, { what: "the blob to be stored" });
    let wrong: readonly string[] = [];
    await until(async () => (wrong = await wrongFigures(cache)).length === 0, {
      what: "right figures",
      detail: () => wrong.join("\n"),
    });
  },
);

concurrentRealTest(
  "a partial download that cannot be removed does not keep blobs from being evicted",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 6 }, (_, at) => randomContent(4 * MIB, at + 1));
    for (const blob of blobs) upstream.addBlob("app", blob);
    await using data = await tempDir("data");
    const partial = join(data.path, "fills", partialName(randomContent(MIB, 9).digest, "reg.test"));
    await mkdir(join(data.path, "fills"));
    await writeFile(partial, new Uint8Array(MIB));
    const storage = { maxSize: "16MiB", minFree: 0 };
    await using cache = await startEntrepot({ config: config(upstream, storage), data: data.path });
    const fault = { calls: REMOVALS, paths: [partial], error: "EIO" };
    await using _ = await injectSystemFault(cache.pid, fault);
    const get = async (digest: string): Promise<string | null> => {
      const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
      await response.bytes();
      return response.headers.get("cache-status");
    };
    for (const { digest } of blobs) {
      await get(digest);
      const isHit = async (): Promise<boolean> => (await get(digest)) === "entrepot; hit";
      await until(isHit, { what: "the blob to be stored" });
    }
    expect(await Bun.file(partial).exists()).toBe(true);
  },
);

concurrentRealTest(
  "blobs that could not be removed for a moment are evicted soon after",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 6 }, (_, at) => randomContent(4 * MIB, at + 1));
    for (const blob of blobs) upstream.addBlob("app", blob);
    await using cache = await startEntrepot({
      config: config(upstream, { maxSize: "16MiB", minFree: 0 }),
    });
    const pullAll = async (): Promise<(string | null)[]> => {
      const cacheStatus: (string | null)[] = [];
      for (const { digest } of blobs) {
        const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
        await response.bytes();
        cacheStatus.push(response.headers.get("cache-status"));
      }
      return cacheStatus;
    };
    {
      const paths = new DataPaths(
        cache.data,
        blobs.map(({ digest }) => digest),
        "reg.test",
      ).of("blobs");
      await using _ = await injectSystemFault(cache.pid, {
        calls: REMOVALS,
        paths,
        error: "EACCES",
      });
      const isFull = async (): Promise<boolean> =>
        (await pullAll()).some((cacheStatus) => cacheStatus?.includes("unstored"));
      await until(isFull, { what: "nothing to be evicted" });
    }
    const isWell = async (): Promise<boolean> => !String(await pullAll()).includes("unstored");
    await until(isWell, { what: "blobs to be stored again" });
  },
);
