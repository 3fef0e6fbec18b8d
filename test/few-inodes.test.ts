import { expect } from "bun:test";
import { mkdir, readdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { mountExt4 } from "./harness/faults/ext4-image.ts";
import { mustRun, run } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const LOW = 'entrepot_local_problem{problem="inodes"}';

function config(upstream: ScriptedUpstream): object {
  return {
    storage: { maxSize: "1GiB", minFree: 0, scrub: 0 },
    upstreams: { "reg.test": localUpstream(upstream.url) },
  };
}

async function metrics(cache: Entrepot): Promise<ReadonlyMap<string, number>> {
  const text = await (await cache.getAdmin("/metrics")).text();
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at))];
    }),
  );
}

async function pull(cache: Entrepot, blob: Content): Promise<string> {
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
  const isRight = Buffer.compare(await response.bytes(), bytesOf(blob)) === 0;
  return `${response.status} ${isRight} ${response.headers.get("cache-status")?.match(/hit|detail=[a-z-]+|stored/)?.[0]}`;
}

realTest(
  "with few inodes, least recently used blobs are evicted before none are left",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 320 }, (_, at) => randomContent(100, at));
    for (const blob of blobs) upstream.addBlob("app", blob);
    // Folders for the blobs and their sidecar files would take 512 inodes by themselves.
    await using disk = await mountExt4(24 * MIB, 320);
    const data = join(disk.path, "data");
    await using cache = await startEntrepot({ config: config(upstream), data });
    for (let first = 0; first < blobs.length; first += 16) {
      const pulled = blobs.slice(first, first + 16).map((blob) => pull(cache, blob));
      for (const answer of await Promise.all(pulled)) expect(answer).toStartWith("200 true");
    }
    const values = await metrics(cache);
    expect(values.get("entrepot_storage_full")).toBe(0);
    expect(values.get('entrepot_unstored_responses_total{kind="blob"}') ?? 0).toBe(0);
    expect(values.get('entrepot_removed_blobs_total{reason="inodes"}')).toBeGreaterThan(150);
    expect(values.get(LOW)).toBe(1);
    // The latest are the ones that are kept. Clients had them before they were stored.
    const latest = blobs.at(-1)?.digest;
    await until(async () => (await storedBlobs(data)).some(({ digest }) => digest === latest), {
      what: "the latest blob to be stored",
    });
    expect((await storedBlobs(data)).length).toBeGreaterThan(20);
    const warnings = cache.logs().filter((line) => line["level"] === "warn");
    // That the disk of a busy machine is slow is another matter.
    const told = warnings.map((line) => String(line["msg"]));
    expect(told.filter((text) => !text.startsWith("the disk is slow"))).toEqual([
      expect.stringMatching(
        /^the data directory's file system has \d+ of \d+ inodes left, and least/,
      ),
    ]);
    const status = await command(cache, "status");
    expect(status.code).toBe(1);
    expect(status.stdout).toMatch(/^Disk .*, \d+ of \d+ inodes free$/m);
    expect(status.stdout).toMatch(/\nProblems:\n {2}the data directory's file system has \d+ of/);
    await verifyStore(data);
  },
);

realTest("where inodes are short, sidecar files of blobs that are gone are deleted", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(100, 1);
  upstream.addBlob("app", blob);
  await using disk = await mountExt4(24 * MIB, 320);
  const data = join(disk.path, "data");
  // As eviction for space leaves them: where a tag points, they are kept for a month.
  const tags = { "1": Date.now() };
  const places = [{ upstream: "reg.test", repository: "app", mediaType: "a/b", tags }];
  const left = Array.from({ length: 60 }, (_, at) => `5a${String(at).padStart(62, "0")}.json`);
  const folder = join(data, "sidecars", "sha256", "5a");
  {
    await using cache = await startEntrepot({ config: config(upstream), data });
    await pull(cache, blob);
  }
  await mkdir(folder, { recursive: true });
  for (const name of left) await writeFile(join(folder, name), JSON.stringify({ places }));
  await using cache = await startEntrepot({ config: config(upstream), data });
  expect(await pull(cache, blob)).toBe("200 true hit");
  const { ffree } = await statfs(disk.path);
  await mkdir(join(disk.path, "others"));
  for (let at = 0; at < ffree - 10; at += 1)
    await writeFile(join(disk.path, "others", `${at}`), "");
  await until(async () => (await readdir(folder)).length === 0, { what: "no sidecar files" });
});

realTest(
  "while other files take all inodes, pulls go on, and are stored again afterwards",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 40 }, (_, at) => randomContent(100, at));
    for (const blob of blobs) upstream.addBlob("app", blob);
    await using disk = await mountExt4(24 * MIB, 300);
    const data = join(disk.path, "data");
    await using cache = await startEntrepot({ config: config(upstream), data });
    const others = join(disk.path, "others");
    await mustRun([
      "sh",
      "-c",
      `mkdir ${others}; i=0; while : >${others}/$i; do i=$((i+1)); done`,
    ]).catch(() => {});
    expect((await statfs(disk.path)).ffree).toBe(0);
    for (const blob of blobs) expect(await pull(cache, blob)).toStartWith("200 true");
    const status = async () => (await cache.getAdmin("/api/v1/status")).text();
    expect(await status()).toContain("no inodes are left on the disk, though it has free space");
    await until(
      async () => (await status()).includes("the data directory's file system has 0 of"),
      {
        what: "the free inodes",
      },
    );
    await rm(others, { recursive: true });
    const [blob] = blobs;
    if (!blob) throw new Error("unreachable");
    await until(async () => (await pull(cache, blob)).includes("hit"), {
      what: "the blob to be stored",
      within: 20_000,
    });
    await verifyStore(data);
  },
);

realTest(
  "a cache that is started without inodes serves what it has, and stores again",
  async () => {
    await using upstream = await startScriptedUpstream();
    const [old, later] = [randomContent(100, 1), randomContent(100, 2)];
    for (const blob of [old, later]) upstream.addBlob("app", blob);
    await using disk = await mountExt4(24 * MIB, 320);
    const data = join(disk.path, "data");
    {
      await using cache = await startEntrepot({ config: config(upstream), data });
      expect(await pull(cache, old)).toStartWith("200 true");
      expect(await cache.stop()).toBe(0);
    }
    const others = join(disk.path, "others");
    const fill = `mkdir ${others}; seq 400 | while read i; do : > ${others}/$i; done`;
    await run(["sh", "-c", fill]);
    expect((await statfs(disk.path)).ffree).toBe(0);

    await using cache = await startEntrepot({ config: config(upstream), data });
    expect(await pull(cache, old)).toBe("200 true hit");
    const status = await command(cache, "status");
    expect(status.stdout).toMatch(/nothing can be stored, .*no inodes are left on the disk/);
    expect(await pull(cache, later)).toBe("200 true detail=unstored");

    await rm(others, { recursive: true });
    await until(async () => (await pull(cache, later)) === "200 true hit", {
      what: "a blob to be stored",
      within: 20_000,
    });
  },
);
