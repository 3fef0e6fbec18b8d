import { expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import { command, commandOn } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { type Entrepot, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { metric } from "./harness/cache/metrics.ts";
import { mustRun } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { rootTest, SmallDisk, smallDiskConfig } from "./harness/faults/small-disk.ts";
import { wrongFigures } from "./harness/cache/store-figures.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const disk = new SmallDisk(64 * MIB);
const READ_ONLY = /cannot write to \S+: the file system is mounted read-only.* \(EROFS\)/;

async function remount(mode: "ro" | "rw"): Promise<void> {
  await mustRun(["mount", "-o", `remount,${mode}`, disk.file()]);
}

const manifestPath = "/v2/app/manifests/1?ns=reg.test";
const path = (digest: string): string => `/v2/app/blobs/${digest}?ns=reg.test`;

async function statusOf(cache: Entrepot): Promise<string> {
  return (await command(cache, "status")).stdout;
}

/** After SIGKILL, the latest metadata is in its write-ahead log. */
const ENDS = [
  "SIGKILL",
  ...(process.env["ENTREPOT_LONG"] === "1" ? ["SIGTERM" as const] : []),
] as const;

for (const end of ENDS) {
  rootTest(
    `a cache that is started on a read-only disk, after ${end}, serves what it has, and stores again once it is writable`,
    async () => {
      await using upstream = await startScriptedUpstream();
      const image = textImage();
      upstream.add("app", image, "1");
      const [old, later, bad] = [1, 2, 3].map((seed) => randomContent(MIB, seed));
      if (!old || !later || !bad) throw new Error("there are three");
      for (const blob of [old, later, bad]) upstream.addBlob("app", blob);
      const options = { config: smallDiskConfig(upstream), data: disk.file("data") };
      {
        await using cache = await startEntrepot(options);
        for (const one of [manifestPath, path(old.digest), path(bad.digest)])
          await (await cache.get(one)).bytes();
        await until(async () => (await wrongFigures(cache)).length === 0, { what: "all records" });
        await cache.stop(end);
      }
      const stored = await storedBlobs(options.data);
      await writeFile(
        stored.find(({ digest }) => digest === bad.digest)?.path ?? "",
        "?".repeat(MIB),
      );
      await remount("ro");
      await using config = await tempDir("config");
      const configFile = config.file("entrepot.yaml");
      await writeFile(configFile, stringify(options.config));
      const onFolder = (...args: string[]) => commandOn(options.data, configFile, ...args);
      expect((await onFolder("ls")).stdout).toContain("reg.test/app");
      expect((await onFolder("fsck")).stdout).toContain(`corrupt: ${bad.digest}`);
      for (const args of [["gc"], ["fsck", "--repair"]]) {
        const refused = await onFolder(...args);
        expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(READ_ONLY)]);
      }

      await using cache = await startEntrepot(options);
      await upstream.stop();
      expect(await (await cache.get(manifestPath)).bytes()).toEqual(image.manifest.bytes);
      const blob = await cache.get(path(old.digest));
      expect(blob.headers.get("cache-status")).toContain("hit");
      expect(Buffer.compare(await blob.bytes(), bytesOf(old))).toBe(0);
      await upstream.start();
      const streamed = await cache.get(path(later.digest));
      expect(streamed.headers.get("cache-status")).toContain("detail=unstored");
      expect(Buffer.compare(await streamed.bytes(), bytesOf(later))).toBe(0);
      expect(await statusOf(cache)).toMatch(READ_ONLY);
      expect(await metric(cache, "entrepot_storage_full")).toBe(1);
      for (const args of [["gc"], ["fsck", "--repair"], ["purge", "reg.test/app:1"]]) {
        const refused = await command(cache, ...args);
        expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(READ_ONLY)]);
      }
      expect((await command(cache, "fsck")).stdout).toContain(`corrupt: ${bad.digest}`);
      const replaced = await cache.get(path(bad.digest));
      expect(Buffer.compare(await replaced.bytes(), bytesOf(bad))).toBe(0);

      await remount("rw");
      await cache.logged("pulled blobs are stored again", 15_000);
      for (const { digest } of [later, bad]) await (await cache.get(path(digest))).bytes();
      const isHit = async (): Promise<boolean | undefined> =>
        (await cache.get(path(later.digest))).headers.get("cache-status")?.includes("hit");
      await until(isHit, { what: "a hit for the blob that was stored since" });
      await until(async () => (await wrongFigures(cache)).length === 0, { what: "all records" });
      expect(await verifyStore(options.data)).toHaveLength(4);
      expect((await command(cache, "purge", "reg.test/app:1")).code).toBe(0);
      expect(await cache.stop()).toBe(0);
    },
    60_000,
  );
}
