import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { commandOn } from "./harness/cache/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { mustRun } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

function config(upstream: ScriptedUpstream): object {
  return {
    storage: { maxSize: "1GiB", minFree: 0, scrub: 0 },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

/** What a client got, and whether it came from the store. */
async function pull(cache: Entrepot, blob: Content): Promise<string> {
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
  const bytes = await response.bytes();
  const isRight = Buffer.compare(bytes, bytesOf(blob)) === 0;
  const isHit = response.headers.get("cache-status")?.includes("hit") ?? false;
  return `${response.status} ${isRight ? "right" : "wrong"} ${isHit ? "hit" : "miss"}`;
}

const MADE_AGAIN =
  "files of the data directory vanished while they were in use: they were made again, and what they held is fetched again when it is requested";
const ANOTHER = "the data directory is another one now: the cache goes on with what is there";

interface Case {
  /** Deleted in the data directory, by `rm -rf`. */
  readonly paths: string;
  /** What is logged, if something does not wait for the next blob. */
  readonly said?: string;
}

const CASES: Readonly<Record<string, Case>> = {
  "folders of blobs": { paths: "blobs/sha256/* sidecars/sha256/*" },
  "all folders": { paths: "blobs fills sidecars", said: MADE_AGAIN },
  "the metadata database": { paths: "metadata.db*", said: MADE_AGAIN },
  "the lock": { paths: "lock*", said: MADE_AGAIN },
  "the data directory": { paths: '"$0"', said: ANOTHER },
};

for (const [name, { paths, said }] of Object.entries(CASES)) {
  test(`${name} that vanished while the cache runs are made again, and pulls go on`, async () => {
    await using upstream = await startScriptedUpstream();
    const [before, after] = [randomContent(MIB, 1), randomContent(MIB, 2)];
    for (const blob of [before, after]) upstream.addBlob("app", blob);
    const image = textImage();
    upstream.add("app", image, "1");
    await using cache = await startEntrepot({ config: config(upstream) });
    const manifest = async () => {
      const response = await cache.get("/v2/app/manifests/1?ns=reg.test");
      return [response.status, (await response.bytes()).byteLength];
    };
    const whole = [200, image.manifest.bytes.byteLength];
    expect(await pull(cache, before)).toBe("200 right miss");
    expect(await manifest()).toEqual(whole);

    await mustRun(["sh", "-c", `cd "$0" && rm -rf ${paths}`, cache.data]);
    expect(await pull(cache, after)).toBe("200 right miss");
    expect(await manifest()).toEqual(whole);
    if (said !== undefined) {
      await cache.logged(said);
      // What is in memory only is fetched again, too.
      expect(await manifest()).toEqual(whole);
    }
    for (const blob of [before, after]) {
      await until(async () => (await pull(cache, blob)) === "200 right hit", { what: "a hit" });
    }
    // Nobody else may use what was made again.
    const other = await commandOn(cache.data, cache.configFile, "ls");
    expect([other.code, other.stderr]).toEqual([
      1,
      expect.stringContaining(`is in use by process ${cache.pid}`),
    ]);
    const stored = await verifyStore(cache.data);
    for (const { digest } of [before, after]) expect(stored).toContain(digest);
    expect((await cache.getAdmin("/readyz")).status).toBe(200);
    if (said === undefined) return;

    // What was learnt since is there after a restart, too.
    await cache.stop();
    await upstream.stop();
    await using again = await startEntrepot({ config: config(upstream), data: cache.data });
    const pulled = await again.get("/v2/app/manifests/1?ns=reg.test");
    expect(pulled.status).toBe(200);
    await pulled.bytes();
    for (const blob of [before, after]) expect(await pull(again, blob)).toBe("200 right hit");
  });
}

test("blobs whose folder has just vanished are fetched for the first who ask", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = [randomContent(1000, 1), ...[2, 3, 4].map((seed) => randomContent(MIB, seed))];
  for (const blob of blobs) upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  const pullAll = () => Promise.all(blobs.map((blob) => pull(cache, blob)));
  const all = (result: string) => blobs.map(() => result);
  expect(await pullAll()).toEqual(all("200 right miss"));
  const stored = async () => (await storedBlobs(cache.data)).length === blobs.length;
  await until(stored, { what: "the blobs" });
  await rm(join(cache.data, "blobs"), { recursive: true });
  const [small, ...large] = await pullAll();
  // Whether it is in memory depends on who has asked for it.
  expect(small).toStartWith("200 right");
  expect(large).toEqual(all("200 right miss").slice(1));
  await until(stored, { what: "the blobs, again" });
  expect(await pullAll()).toEqual(all("200 right hit"));

  // The first of them may be noticed too late: single files are not looked at before they are sent.
  await mustRun(["sh", "-c", `rm -r "$0"/blobs/sha256/*`, cache.data]);
  const [, , second, third] = blobs;
  if (!second || !third) throw new Error("no blobs");
  await pull(cache, second);
  expect(await pull(cache, third)).toBe("200 right miss");
});

test("fills/ that vanishes in mid-fill costs no client its bytes", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(12 * MIB, 3);
  upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  upstream.respond(({ nth }) => (nth === 1 ? faults.stallAfter(8 * MIB) : undefined));
  const pulled = pull(cache, blob);
  await until(() => upstream.requests({ kind: "blob" })[0]?.sent === 8 * MIB, { what: "8 MiB" });
  await rm(join(cache.data, "fills"), { recursive: true });
  upstream.release();
  expect(await pulled).toBe("200 right miss");
  // The fill that lost its file cannot be stored, and may end after its clients did.
  await until(
    async () => {
      const pulledAgain = await pull(cache, blob);
      expect(pulledAgain).toStartWith("200 right");
      return pulledAgain.endsWith("hit");
    },
    { what: "a hit" },
  );
  await verifyStore(cache.data);
});

realTest("a volume that is mounted over the data directory is used from then on", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = [randomContent(MIB, 1), randomContent(MIB, 2)];
  for (const blob of blobs) upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  for (const blob of blobs) await pull(cache, blob);
  // They are stored behind their clients: one that is published after the mount would be in it.
  await until(async () => (await storedBlobs(cache.data)).length === blobs.length, {
    what: "the blobs",
  });
  const pullUntilHits = async () => {
    for (const blob of blobs) {
      await until(async () => (await pull(cache, blob)) === "200 right hit", { what: "a hit" });
    }
    expect((await verifyStore(cache.data)).length).toBe(blobs.length);
  };
  await mustRun(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", cache.data]);
  try {
    await cache.logged(ANOTHER);
    await pullUntilHits();
  } finally {
    await mustRun(["umount", "-l", cache.data]);
  }
  // What was stored before it was mounted is there again.
  await until(() => cache.logs().filter(({ msg }) => msg === ANOTHER).length === 2, {
    what: "the volume to be noticed as gone",
  });
  const asked = upstream.requests({ kind: "blob" }).length;
  await pullUntilHits();
  expect(upstream.requests({ kind: "blob" }).length).toBe(asked);
});
