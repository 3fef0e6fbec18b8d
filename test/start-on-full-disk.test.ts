import { expect } from "bun:test";
import { rm } from "node:fs/promises";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import {
  expectWarnedOnce,
  rootTest,
  SmallDisk,
  smallDiskConfig,
} from "./harness/faults/small-disk.ts";
import { verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const disk = new SmallDisk(48 * MIB);

rootTest(
  "a cache that is started on a full disk serves what it has, and stores again once there is space",
  async () => {
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    const [old, later] = [randomContent(MIB, 1), randomContent(MIB, 2)];
    for (const blob of [old, later]) upstream.addBlob("app", blob);
    const data = disk.file("data");
    const path = (digest: string): string => `/v2/app/blobs/${digest}?ns=reg.test`;
    const manifestPath = "/v2/app/manifests/1?ns=reg.test";
    {
      await using cache = await startEntrepot({ config: smallDiskConfig(upstream), data });
      for (const one of [manifestPath, path(old.digest)]) await (await cache.get(one)).bytes();
      expect(await cache.stop()).toBe(0);
    }
    const filler = disk.file("filler");
    await disk.fill("filler");

    await using cache = await startEntrepot({ config: smallDiskConfig(upstream), data });
    await upstream.stop();
    expect(await (await cache.get(manifestPath)).bytes()).toEqual(image.manifest.bytes);
    const blob = await cache.get(path(old.digest));
    expect(blob.headers.get("cache-status")).toContain("hit");
    expect(Buffer.compare(await blob.bytes(), bytesOf(old))).toBe(0);
    await upstream.start();
    const status = await command(cache, "status");
    expect([status.code, status.stdout]).toEqual([
      1,
      expect.stringMatching(
        /Problems:\n {2}nothing can be stored, .*the disk is full \(ENOSPC\)\n/,
      ),
    ]);
    const streamed = await cache.get(path(later.digest));
    expect(streamed.headers.get("cache-status")).toContain("detail=unstored");
    expect(Buffer.compare(await streamed.bytes(), bytesOf(later))).toBe(0);
    await expectWarnedOnce(cache);

    await rm(filler);
    await cache.logged("pulled blobs are stored again", 15_000);
    await (await cache.get(path(later.digest))).bytes();
    const isHit = async (): Promise<boolean | undefined> =>
      (await cache.get(path(later.digest))).headers.get("cache-status")?.includes("hit");
    await until(isHit, { what: "a hit for the blob that was stored since" });
    // Its record is there, so that it can be evicted.
    expect(await cache.stop()).toBe(0);
    await using restarted = await startEntrepot({ config: smallDiskConfig(upstream), data });
    const list = await command(restarted, "status", "--json");
    expect(JSON.parse(list.stdout)).toMatchObject({ storage: { blobs: 3 }, problems: [] });
  },
  60_000,
);

rootTest(
  "a cache that is started on a full disk evicts what it must to store again",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 6 }, (_, at) => randomContent(2 * MIB, at));
    const fresh = randomContent(MIB, 9);
    for (const blob of [...blobs, fresh]) upstream.addBlob("app", blob);
    const data = disk.file("data");
    const path = (digest: string): string => `/v2/app/blobs/${digest}?ns=reg.test`;
    const evicting = {
      storage: { maxSize: "1GiB", minFree: "4MiB" },
      upstreams: { "reg.test": localUpstream(upstream.url) },
    };
    {
      await using cache = await startEntrepot({ config: evicting, data });
      for (const { digest } of blobs) await (await cache.get(path(digest))).bytes();
      expect(await cache.stop()).toBe(0);
    }
    await disk.fill("filler");

    await using cache = await startEntrepot({ config: evicting, data });
    const isStored = async (): Promise<boolean | undefined> => {
      const response = await cache.get(path(fresh.digest));
      expect(Buffer.compare(await response.bytes(), bytesOf(fresh))).toBe(0);
      return response.headers.get("cache-status")?.includes("hit");
    };
    await until(isStored, { what: "a blob to be stored", within: 20_000 });
    const stored = new Set((await verifyStore(data)).map(String));
    expect(blobs.filter(({ digest }) => stored.has(digest)).length).toBeGreaterThan(0);
    // What is evicted meanwhile is gone from the disk first.
    await until(
      async () => {
        const { stdout } = await command(cache, "status", "--json");
        return JSON.parse(stdout).storage.blobs === (await verifyStore(data)).length;
      },
      { what: "the status to tell what is stored" },
    );
  },
  60_000,
);
