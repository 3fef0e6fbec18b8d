import { expect, test } from "bun:test";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { realTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { wrongFigures } from "./harness/cache/store-figures.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { injectSystemFault, SYNCS } from "./harness/faults/system-faults.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const KIB = 1024;
const isLong = process.env["ENTREPOT_LONG"] === "1";
const longTest = isLong ? realTest : test.skip;
/** Longer than a test may take: no sync ends while a test looks, however slow the machine is. */
const ENDLESS_MS = 600_000;

function config(upstream: ScriptedUpstream): object {
  return {
    storage: { scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

async function isWhole(cache: Entrepot, content: Content): Promise<boolean> {
  const response = await cache.get(`/v2/app/blobs/${content.digest}?ns=reg.test`);
  const body = await response.bytes();
  return response.status === 200 && Buffer.compare(body, bytesOf(content)) === 0;
}

/** What requests for parts of a blob get, and conditional ones. */
async function partsOf(cache: Entrepot, { digest, size }: Content) {
  const whole = `"${digest}"`;
  const results: unknown[] = [];
  for (const headers of [
    { range: `bytes=${size >> 1}-` },
    { range: "bytes=-1", "if-range": whole },
    { range: `bytes=${size}-` },
    { range: "bytes=0-0", "if-range": '"another"' },
    { "if-none-match": whole },
  ]) {
    const response = await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`, { headers });
    const bytes = await response.bytes();
    const range = response.headers.get("content-range");
    results.push([response.status, range, response.ok && Bun.hash(bytes)]);
  }
  return results;
}

function rightParts(content: Content): unknown[] {
  const { size } = content;
  const bytes = bytesOf(content);
  const [middle, last] = [size >> 1, size - 1];
  return [
    [206, `bytes ${middle}-${last}/${size}`, Bun.hash(bytes.subarray(middle))],
    [206, `bytes ${last}-${last}/${size}`, Bun.hash(bytes.subarray(last))],
    [416, `bytes */${size}`, false],
    [200, null, Bun.hash(bytes)],
    [304, null, false],
  ];
}

/** Small blobs that are held in memory, larger ones, and some that are streamed as they arrive. */
function manyBlobs(): Content[] {
  const sizes = [1, 200 * KIB, 1024 * KIB, 5000 * KIB];
  return Array.from({ length: 40 }, (_, seed) => randomContent(sizes[seed % 4] ?? 0, seed + 1));
}

realTest(
  "while no sync ends, 40 clients get their blobs, whoever comes next is answered from here, and a crash loses nothing",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using data = await tempDir("data");
    const blobs = manyBlobs();
    for (const blob of blobs) upstream.addBlob("app", blob);
    const image = textImage({ text: "an image" });
    upstream.add("app", image, "1");
    {
      const cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
      await using syncs = await injectSystemFault(cache.pid, { calls: SYNCS, delay: ENDLESS_MS });
      const pull = async (reference: string) => {
        const response = await cache.get(`/v2/app/manifests/${reference}?ns=reg.test`);
        return [response.status, Buffer.compare(await response.bytes(), image.manifest.bytes)];
      };
      // What is verified, but not stored, is served as well.
      for (let round = 0; round < 2; round += 1) {
        const whole = await Promise.all(blobs.map((blob) => isWhole(cache, blob)));
        expect(whole).toEqual(blobs.map(() => true));
        for (const reference of ["1", image.manifest.digest]) {
          expect(await pull(reference)).toEqual([200, 0]);
        }
      }
      for (const blob of blobs.slice(0, 4)) {
        const head = await cache.head(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
        expect(head.headers.get("content-length")).toBe(String(blob.size));
        expect(head.headers.get("cache-status")).toStartWith("entrepot; hit");
        expect(await partsOf(cache, blob)).toEqual(rightParts(blob));
      }
      expect(upstream.requests({ kind: "blob" }).map(({ method }) => method)).toEqual(
        blobs.map(() => "GET"),
      );
      expect(upstream.requests({ kind: "manifest" })).toHaveLength(1);
      expect(await storedBlobs(cache.data)).toEqual([]);
      await syncs.kill(cache);
    }
    await verifyStore(data.file("d"));
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    const whole = await Promise.all(blobs.map((blob) => isWhole(cache, blob)));
    expect(whole).toEqual(blobs.map(() => true));
    // All of it was in the partial files, of which only the size was not known any more.
    const resumed = upstream.requests({ kind: "blob" }).slice(blobs.length);
    expect(resumed.filter(({ status }) => status !== 416)).toEqual([]);
    await cache.stop();
    await verifyStore(data.file("d"));
  },
);

realTest(
  "while each write takes 200 ms, a large blob comes at the registry's pace, and is stored behind",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(24 * 1024 * KIB, 1);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream) });
    {
      await using _ = await injectSystemFault(cache.pid, {
        // Not write(2), by which threads wake each other.
        calls: ["pwrite64", "pwritev"],
        delay: 200,
      });
      expect(await isWhole(cache, blob)).toBe(true);
      // One that fills the store, and one of the client that has left it behind.
      expect(upstream.requests({ kind: "blob" })).toHaveLength(2);
      expect(await storedBlobs(cache.data)).toEqual([]);
      const status = await (await cache.getAdmin("/api/v1/status")).json();
      expect(status).toMatchObject({
        problems: [expect.stringContaining("the disk is slow: a write takes")],
      });
    }
    await until(async () => (await storedBlobs(cache.data)).length === 1, { what: "the blob" });
    expect(await verifyStore(cache.data)).toEqual([blob.digest]);
  },
);

if (isLong) {
  realTest(
    "with commits behind that a slow disk does not finish, SIGTERM ends the cache in time, and the next one resumes them",
    async () => {
      await using upstream = await startScriptedUpstream();
      await using data = await tempDir("data");
      const blobs = manyBlobs();
      for (const blob of blobs) upstream.addBlob("app", blob);
      for (const delay of [2000, 12_000]) {
        const cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
        await using _ = await injectSystemFault(cache.pid, { calls: SYNCS, delay });
        const whole = await Promise.all(blobs.map((blob) => isWhole(cache, blob)));
        expect(whole).toEqual(blobs.map(() => true));
        // 137 if it had to be killed after 20 s.
        expect(await cache.stop()).toBe(0);
      }
      await verifyStore(data.file("d"));
      expect(upstream.requests({ kind: "blob" })).toHaveLength(40);
    },
  );
}

longTest(
  "an image that is still being written is said to be, and a purge does not leave it to be stored",
  async () => {
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    await using cache = await startEntrepot({ config: config(upstream) });
    {
      await using _ = await injectSystemFault(cache.pid, { calls: SYNCS, delay: 1200 });
      expect((await cache.get("/v2/app/manifests/1?ns=reg.test")).status).toBe(200);
      for (const blob of image.blobs) expect(await isWhole(cache, blob)).toBe(true);
      const list = await command(cache, "ls", "--json");
      expect([JSON.parse(list.stdout), list.stderr]).toEqual([
        { images: [] },
        expect.stringMatching(
          /^entrepot: .* that clients have pulled (?:is|are) still being written, and not listed yet\n$/,
        ),
      ]);
      const purged = await command(cache, "purge", "reg.test/app:1");
      expect([purged.code, purged.stdout]).toEqual([
        0,
        expect.stringContaining(`Removed ${image.blobs.length + 1} blobs`),
      ]);
    }
    expect(await storedBlobs(cache.data)).toEqual([]);
    expect(await wrongFigures(cache)).toEqual([]);
    expect(await command(cache, "ls")).toMatchObject({
      stdout: "No images are cached yet.\n",
      stderr: "",
    });
  },
);
