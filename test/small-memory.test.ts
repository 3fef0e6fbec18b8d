import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Digest } from "../src/oci/digest.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { run } from "./harness/processes.ts";
import { makeImages } from "./harness/images/many-images.ts";
import { MemoryCgroup, memoryLimitTest } from "./harness/faults/memory-cgroup.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

/** The full load takes minutes: only in `npm run test:long`. */
const isLong = process.env["ENTREPOT_LONG"] === "1";

const MIB = 1024 * 1024;
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/** Distinct blobs that differ in their first bytes alone, so that hundreds of them fit in memory. */
function blobsOf(count: number, size: number): readonly Content[] {
  const rest = bytesOf(randomContent(size)).subarray(8);
  return Array.from({ length: count }, (_, number) => {
    const first = new TextEncoder().encode(String(number).padStart(8, "0"));
    const hash = new Bun.CryptoHasher("sha256").update(first).update(rest).digest("hex");
    // The algorithm's name and a hexadecimal hash make a digest by construction.
    const digest = `sha256:${hash}` as Digest;
    const mediaType = "application/octet-stream";
    return { mediaType, digest, size, chunks: () => [first, rest] };
  });
}

async function startUpstream(blobs: readonly Content[]): Promise<ScriptedUpstream> {
  const upstream = await startScriptedUpstream();
  for (const blob of blobs) upstream.addBlob("app", blob);
  return upstream;
}

function configFor(upstream: ScriptedUpstream): object {
  return { upstreams: { "reg.test": localUpstream(upstream.url) } };
}

/** The digests of what clients received that all asked at once: those of the blobs, if all is well. */
function pullAll(cache: Entrepot, blobs: readonly Content[]): Promise<readonly string[]> {
  return Promise.all(
    blobs.map(async ({ digest }) => {
      const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`);
      const hasher = new Bun.CryptoHasher("sha256");
      for await (const chunk of response.body ?? []) hasher.update(chunk);
      return `sha256:${hasher.digest("hex")}`;
    }),
  );
}

test("many large blobs that are pulled at once take little memory", async () => {
  const blobs = blobsOf(isLong ? 120 : 40, 6 * MIB);
  await using upstream = await startUpstream(blobs);
  await using cache = await startEntrepot({ config: configFor(upstream) });
  expect(await pullAll(cache, blobs)).toEqual(blobs.map(({ digest }) => digest));
  // With fetch, it was 285 MiB for 120 of them. Some 45 MiB are the program's own file.
  expect(cache.peakMemory()).toBeLessThan(150 * MIB);
}, 120_000);

const LOADS = isLong
  ? ([
      [96, 120, 6],
      [128, 120, 6],
      [192, 120, 6],
      [96, 20, 50],
      [128, 20, 50],
    ] as const)
  : ([[128, 40, 6]] as const);

for (const [limit, count, size] of LOADS) {
  memoryLimitTest(
    `with ${limit} MiB, ${count} blobs of ${size} MiB that are pulled at once all arrive`,
    async () => {
      const blobs = blobsOf(count, size * MIB);
      await using cgroup = new MemoryCgroup(limit * MIB);
      await using upstream = await startUpstream(blobs);
      const program = cgroup.command(PROGRAM);
      await using cache = await startEntrepot({ config: configFor(upstream), program });
      expect(await pullAll(cache, blobs)).toEqual(blobs.map(({ digest }) => digest));
      expect([cgroup.kills, cache.exitCode]).toEqual([0, undefined]);
    },
    180_000,
  );
}

memoryLimitTest(
  "with 96 MiB, a cache lists and purges thousands of images",
  async () => {
    const count = isLong ? 20_000 : 800;
    await using dir = await tempDir("images");
    const data = dir.file("data");
    await makeImages(data, count);
    await using cgroup = new MemoryCgroup(96 * MIB);
    await using upstream = await startUpstream([]);
    const program = cgroup.command(PROGRAM);
    await using cache = await startEntrepot({ config: configFor(upstream), data, program });
    const where = ["--json", "--config", cache.configFile, "--admin", cache.adminAddress];
    const ls = await run([PROGRAM, "ls", ...where]);
    expect(ls.code).toBe(0);
    const { images }: { images: readonly unknown[] } = JSON.parse(ls.stdout);
    expect(images).toHaveLength(count);
    const purge = await run([PROGRAM, "purge", "reg.test/*", "--dry-run", ...where]);
    expect(JSON.parse(purge.stdout)).toMatchObject({ blobs: 5 * count, shared: 0, busy: 0 });
    expect([cgroup.kills, cache.exitCode]).toEqual([0, undefined]);
  },
  240_000,
);

memoryLimitTest(
  "with 48 MiB, serve says that this is too little",
  async () => {
    await using cgroup = new MemoryCgroup(48 * MIB);
    const refused = await run([...cgroup.command(PROGRAM), "serve"]);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      "entrepot: a memory limit of 48 MiB is too small: give it at least 96 MiB\n",
    ]);
  },
  30_000,
);
