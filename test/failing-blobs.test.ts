import { expect } from "bun:test";
import { chmod, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { command } from "./harness/cache/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { metric } from "./harness/cache/metrics.ts";
import { problems } from "./harness/cache/problems.ts";
import { concurrentRealTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { injectSystemFault, READS } from "./harness/faults/system-faults.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
/** How long a busy machine may take for what happens in the background, in milliseconds. */
const PATIENCE = 30_000;
const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;
const OPENS = ["open", "openat", "openat2"];

/** A cache that has stored these blobs, and its upstream. */
async function setUp(...blobs: Content[]) {
  const closing = new AsyncDisposableStack();
  const upstream = closing.use(await startScriptedUpstream());
  for (const blob of blobs) upstream.addBlob("app", blob);
  const cache = closing.use(await startEntrepot({ config: config(upstream) }));
  for (const blob of blobs) await (await get(cache, blob)).bytes();
  await allStored(cache, blobs.length);
  return { upstream, cache, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

/** A client may have all of a blob before it is stored, and a file be there before it is counted. */
async function allStored(cache: Entrepot, count: number): Promise<void> {
  const isDone = async (): Promise<boolean> => {
    const files = await storedBlobs(cache.data);
    const sizes = await Promise.all(files.map(({ path }) => stat(path)));
    const bytes = sizes.reduce((sum, { blocks }) => sum + 512 * blocks, 0);
    return files.length === count && bytes === (await metric(cache, "entrepot_storage_blob_bytes"));
  };
  await until(isDone, { what: `${count} stored blobs`, within: PATIENCE });
}

function config(upstream: ScriptedUpstream): object {
  const upstreams = { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } };
  return { storage: { scrub: 0 }, upstreams };
}

/** Over a connection of its own: one that broke off is of no use to the next request. */
function get(cache: Entrepot, { digest }: Content, headers: Record<string, string> = {}) {
  return cache.get(`/v2/app/blobs/${digest}?ns=reg.test`, { headers, keepalive: false });
}

/** The status, the result of the cache, and whether the right bytes came; or that it broke off. */
async function pull(cache: Entrepot, blob: Content, first = 0): Promise<string> {
  const response = await get(cache, blob, first === 0 ? {} : { range: `bytes=${first}-` });
  const result = response.headers.get("cache-status")?.replace(/^[^;]*; /, "");
  try {
    const isRight = Buffer.compare(await response.bytes(), bytesOf(blob).subarray(first)) === 0;
    return `${response.status} ${result} ${isRight ? "right" : "WRONG"}`;
  } catch {
    return "broke off";
  }
}

/** Without what lets root read every file. */
const UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];

/** Makes reading files fail as a bad sector does: the kernel sends some bytes, and then no more. */
function badSector(cache: Entrepot, paths: readonly string[]): Promise<AsyncDisposable> {
  const others = READS.filter((call) => call !== "sendfile");
  return injectSystemFault(
    cache.pid,
    { calls: ["sendfile"], paths, error: "EIO", when: "2+" },
    { calls: others, paths, error: "EIO" },
  );
}

async function pathOf(cache: Entrepot, { digest }: Content): Promise<string> {
  const file = (await storedBlobs(cache.data)).find((stored) => stored.digest === digest);
  if (!file) throw new Error(`${digest} is not stored`);
  return file.path;
}

async function storedPaths(cache: Entrepot): Promise<string[]> {
  return (await storedBlobs(cache.data)).map(({ path }) => path).toSorted();
}

/** None of the blobs that could not be read is left: they were stored anew, or taken back. */
async function allReadable(cache: Entrepot): Promise<void> {
  await until(async () => (await metric(cache, "entrepot_unreadable_blobs")) === 0, {
    what: "all blobs to be read again",
    within: PATIENCE,
  });
}

const MOVED =
  "the disk cannot read a stored blob: its file was moved to quarantine/, and it is fetched again when it is requested";
const KEPT =
  "all of the disk may be failing: blobs that it cannot read are kept, and read again later";
const AGAIN = "a stored blob can be read again";

concurrentRealTest(
  "a client that a bad sector cut off gets the rest from the registry, and the file is replaced",
  async () => {
    const [bad, good] = [randomContent(8 * MIB, 1), randomContent(24 * MIB, 2)];
    await using at = await setUp(bad, good);
    const { cache, upstream } = at;
    const bytes = await metric(cache, "entrepot_storage_blob_bytes");
    {
      await using _ = await badSector(cache, [await pathOf(cache, bad)]);
      // While others are sent, the kernel's count does not tell where it broke off.
      const slow = await get(cache, good);
      expect(await pull(cache, bad)).toBe("broke off");
      // As a runtime does, at once, from where it was cut off.
      expect(await pull(cache, bad, 4 * MIB)).toBe("206 fwd=miss; stored right");
      expect(Buffer.compare(await slow.bytes(), bytesOf(good))).toBe(0);
      expect(await problems(cache)).toContainEqual(expect.stringContaining(bad.digest.slice(7)));
      expect(await problems(cache)).toContainEqual(expect.stringContaining("smartctl"));
    }
    await allReadable(cache);
    await upstream.stop();
    expect(await pull(cache, bad)).toBe("200 hit right");
    expect(await verifyStore(cache.data)).toEqual([bad.digest, good.digest].toSorted());
    expect(await metric(cache, "entrepot_storage_blob_bytes")).toBe(bytes);
    expect(await metric(cache, "entrepot_unreadable_blobs_found_total")).toBe(1);
    expect(await metric(cache, "entrepot_unreadable_blobs")).toBe(0);
  },
);

concurrentRealTest(
  "a blob that the disk cannot read is moved out of the way, once fsck has found it",
  async () => {
    const bad = randomContent(8 * MIB, 1);
    await using at = await setUp(bad, randomContent(2 * MIB, 2), randomContent(70_000, 3));
    const { cache } = at;
    {
      const paths = [await pathOf(cache, bad)];
      await using _ = await injectSystemFault(cache.pid, { calls: READS, paths, error: "EIO" });
      const fsck = await command(cache, "fsck");
      expect([fsck.code, fsck.stdout]).toEqual([
        1,
        expect.stringContaining(`unreadable: ${bad.digest}`),
      ]);
      expect(await problems(cache)).toContainEqual(expect.stringContaining("smartctl"));
      await cache.logged(MOVED, PATIENCE);
    }
    expect(await readdir(join(cache.data, "quarantine"))).toHaveLength(1);
    expect(await storedBlobs(cache.data)).toHaveLength(2);
    const metrics = await (await cache.getAdmin("/metrics")).text();
    expect(metrics).toContain('entrepot_removed_blobs_total{reason="unreadable"} 1');
    expect(await metric(cache, "entrepot_storage_blob_bytes")).toBe(2 * MIB + 73_728);
    expect(await pull(cache, bad)).toBe("200 fwd=miss; stored right");
    await allStored(cache, 3);
    expect(await verifyStore(cache.data)).toHaveLength(3);
  },
);

concurrentRealTest("while the disk cannot read anything, nothing is thrown out", async () => {
  const large = [1, 2, 3, 4].map((seed) => randomContent(MIB, seed));
  const blobs = [...large, randomContent(1000, 5)];
  await using at = await setUp(...blobs);
  const { cache, upstream } = at;
  const paths = await storedPaths(cache);
  {
    await using _ = await injectSystemFault(cache.pid, { calls: READS, paths, error: "EIO" });
    await upstream.stop();
    for (const blob of large) {
      expect(await pull(cache, blob)).toBe("broke off");
      // The registry is down, so this is said. What is in memory is served from there.
      const failed = await until(
        async () => {
          const response = await get(cache, blob).catch(() => undefined);
          return response && response.status >= 500 && response.status;
        },
        { what: "an error instead of bytes" },
      );
      expect(failed).toBe(502);
    }
    await cache.logged(KEPT, PATIENCE);
    expect(await metric(cache, "entrepot_unreadable_blobs")).toBe(4);
  }
  await allReadable(cache);
  // A look that began while the disk failed may still end, and is put right by the next one.
  for (const blob of blobs) {
    await until(async () => (await pull(cache, blob)) === "200 hit right", {
      what: `a hit of ${blob.digest}`,
      within: PATIENCE,
    });
  }
  expect(await storedPaths(cache)).toEqual(paths);
});

concurrentRealTest(
  "a disk that fails to read what clients of a download still need is noticed",
  async () => {
    const blob = randomContent(32 * MIB, 1);
    await using at = await setUp();
    const { cache, upstream } = at;
    upstream.addBlob("app", blob);
    const response = await get(cache, blob);
    await allStored(cache, 1);
    {
      const paths = await storedPaths(cache);
      await using _ = await injectSystemFault(cache.pid, { calls: READS, paths, error: "EIO" });
      expect(await response.bytes().catch(() => "broke off")).toBe("broke off");
      expect(await metric(cache, "entrepot_unreadable_blobs_found_total")).toBe(1);
    }
    await allReadable(cache);
    expect(await pull(cache, blob)).toBe("200 hit right");
  },
);

concurrentRealTest(
  "where no other blob shows whether the disk reads at all, none is moved",
  async () => {
    const blobs = [randomContent(MIB, 1), randomContent(MIB, 2)];
    await using at = await setUp(...blobs);
    const { cache, upstream } = at;
    const paths = await storedPaths(cache);
    await upstream.stop();
    {
      await using _ = await injectSystemFault(cache.pid, { calls: READS, paths, error: "EIO" });
      for (const blob of blobs) expect(await pull(cache, blob)).toBe("broke off");
      await cache.logged(KEPT, PATIENCE);
    }
    await allReadable(cache);
    for (const blob of blobs) expect(await pull(cache, blob)).toBe("200 hit right");
    expect(await storedPaths(cache)).toEqual(paths);
  },
);

concurrentRealTest(
  "a short range of a blob that cannot be read comes from the registry when it is asked for again",
  async () => {
    const blob = randomContent(8 * MIB, 1);
    await using at = await setUp(blob);
    const { cache } = at;
    const paths = [await pathOf(cache, blob)];
    await using _ = await injectSystemFault(cache.pid, { calls: READS, paths, error: "EIO" });
    const range = { range: "bytes=5000000-5000099" };
    const bytes = async () => (await get(cache, blob, range)).bytes();
    expect(await bytes().catch(() => "cut off")).toBe("cut off");
    const response = await get(cache, blob, range);
    expect([response.status, response.headers.get("cache-status")]).toEqual([
      206,
      expect.stringContaining("fwd=miss"),
    ]);
    const expected = bytesOf(blob).subarray(5_000_000, 5_000_100);
    expect(Buffer.compare(await response.bytes(), expected)).toBe(0);
  },
);

concurrentRealTest("without file descriptors, blobs are not taken for unreadable", async () => {
  const blob = randomContent(MIB, 1);
  await using at = await setUp(blob);
  const { cache } = at;
  const paths = [await pathOf(cache, blob)];
  {
    const fault = { calls: OPENS, paths, error: "EMFILE" };
    await using _ = await injectSystemFault(cache.pid, fault);
    expect((await get(cache, blob)).status).toBe(503);
  }
  expect(await pull(cache, blob)).toBe("200 hit right");
  expect(await metric(cache, "entrepot_unreadable_blobs_found_total")).toBe(0);
});

concurrentRealTest(
  "a file that may not be read is replaced, or taken back when it may",
  async () => {
    const [large, kept, small] = [
      randomContent(MIB, 1),
      randomContent(MIB, 2),
      randomContent(1000, 3),
    ];
    await using at = await setUp(large, kept, small);
    const { cache, upstream } = at;
    const before = await storedPaths(cache);
    await cache.stop();
    // It says so before the first byte, as after the start nothing is in memory.
    for (const path of before) await chmod(path, 0);
    const program = [...UNPRIVILEGED, PROGRAM];
    const options = { config: config(upstream), data: cache.data, program };
    await using unprivileged = await startEntrepot(options);
    // HEAD tells what GET would do. The size is not known otherwise, so it fetches the blob.
    const head = await unprivileged.head(`/v2/app/blobs/${large.digest}?ns=reg.test`);
    expect(head.headers.get("cache-status")).toContain("fwd=miss");
    expect(head.headers.get("content-length")).toBe(String(large.size));
    await allReadable(unprivileged);
    expect(await pull(unprivileged, large)).toBe("200 hit right");
    expect(await pull(unprivileged, small)).toBe("200 fwd=miss; stored right");
    await allReadable(unprivileged);
    await upstream.stop();
    expect((await get(unprivileged, kept)).status).toBe(502);
    expect(await problems(unprivileged)).toContainEqual(
      expect.stringContaining("permission denied"),
    );
    expect(await metric(unprivileged, "entrepot_unreadable_blobs")).toBe(1);
    await chmod(await pathOf(unprivileged, kept), 0o600);
    await unprivileged.logged(AGAIN, PATIENCE);
    for (const blob of [large, kept, small])
      expect(await pull(unprivileged, blob)).toBe("200 hit right");
    expect(await storedPaths(cache)).toEqual(before);
  },
);
