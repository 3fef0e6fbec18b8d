import { expect } from "bun:test";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command } from "./harness/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { mountExt4 } from "./harness/ext4-image.ts";
import { realTest } from "./harness/real-components.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/store-files.ts";
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
    const stored = await storedBlobs(data);
    expect(stored.length).toBeGreaterThan(20);
    // The latest are the ones that are kept.
    expect(stored.map(({ digest }) => digest)).toContain(blobs.at(-1)?.digest ?? "");
    const warnings = cache.logs().filter((line) => line["level"] === "warn");
    expect(warnings.map((line) => line["msg"])).toEqual([
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

realTest("where other files take all inodes, eviction does not go on in vain", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = Array.from({ length: 60 }, (_, at) => randomContent(100, at));
  const later = randomContent(100, 1000);
  for (const blob of [...blobs, later]) upstream.addBlob("app", blob);
  await using disk = await mountExt4(24 * MIB, 400);
  const data = join(disk.path, "data");
  await using cache = await startEntrepot({ config: config(upstream), data });
  for (const blob of blobs) expect(await pull(cache, blob)).toStartWith("200 true");
  const others = join(disk.path, "others");
  await mkdir(others);
  const stopping = new AbortController();
  const filling = (async () => {
    for (let at = 0; !stopping.signal.aborted; at += 1) {
      const isWritten = await writeFile(join(others, String(at)), "").then(
        () => true,
        () => false,
      );
      if (!isWritten) await Bun.sleep(1);
    }
  })();
  try {
    await until(
      async () => {
        const { ffree } = await statfs(disk.path);
        return ffree < 8 && (await metrics(cache)).get(LOW) === 1;
      },
      { what: "others to have taken all inodes" },
    );
    const problems = async () => (await cache.getAdmin("/api/v1/status")).text();
    const warned = () =>
      cache.logs().some(({ msg }) => typeof msg === "string" && msg.includes("does not free any"));
    await until(async () => warned() || (await problems()).includes("does not free any"), {
      what: "the cache to say that eviction does not help",
    });
    expect((await storedBlobs(data)).length).toBeGreaterThan(5);
    // What is stored is a hit; what is not is streamed.
    const [kept] = await storedBlobs(data);
    const hit = blobs.find(({ digest }) => digest === kept?.digest);
    if (hit) expect(await pull(cache, hit)).toContain("hit");
    expect(await pull(cache, later)).toStartWith("200 true");
    const told = await problems();
    if (told.includes("nothing can be stored")) expect(told).toContain("no inodes are left on the");
  } finally {
    stopping.abort();
    await filling;
  }
  await rm(others, { recursive: true });
  await until(async () => (await pull(cache, later)).includes("hit"), {
    what: "the blob to be stored",
    within: 20_000,
  });
  await verifyStore(data);
});
