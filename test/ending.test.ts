import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { makeImages } from "./harness/images/many-images.ts";
import { startProcess } from "./harness/processes.ts";
import { real, realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { unfinishedFills } from "./harness/cache/store-files.ts";
import { injectSystemFault, SYNCS, withSystemFault } from "./harness/faults/system-faults.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
/** Not read(2): the threads of Bun wake each other by that. */
const FILE_READS = ["pread64", "preadv", "sendfile", "copy_file_range"];
/** The unit of systemd kills after 30 s. */
const PROMISED_MS = 20_000;

let template: TempDir;
beforeAll(async () => {
  template = await tempDir("template");
  await makeImages(template.file("data"), 300);
  await using first = await startEntrepot({ data: template.file("data") });
  await first.stop();
});
afterAll(() => template[Symbol.asyncDispose]());

/** Runs a command on a copy of the template, with slow reads of its database from the start. */
async function startSlowly(data: string, args: readonly string[]) {
  await rm(join(data, "metadata.db.clean"), { force: true });
  const paths = ["", "-wal"].map((suffix) => join(data, `metadata.db${suffix}`));
  const command = withSystemFault({ calls: FILE_READS, delay: 500, paths }, [PROGRAM, ...args]);
  let pid = 0;
  const child = await startProcess({
    name: args[0] ?? "",
    command,
    ready: async () => {
      pid = Number(await readFile(join(data, "lock.pid"), "utf8").catch(() => ""));
      return pid > 0;
    },
    within: 30_000,
  });
  return { child, pid };
}

for (const { name, args, code } of [
  {
    name: "the start",
    args: ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    code: 0,
  },
  { name: "fsck", args: ["fsck", "--admin", "127.0.0.1:1"], code: 143 },
]) {
  realTest(`on a slow disk, SIGTERM ends ${name} at once`, async () => {
    await using dir = await tempDir("ending");
    const data = dir.file("data");
    await cp(template.file("data"), data, { recursive: true });
    await Bun.write(`${data}.yaml`, "{}");
    const { child, pid } = await startSlowly(data, [
      ...args,
      "--config",
      `${data}.yaml`,
      "--data",
      data,
    ]);
    process.kill(pid, "SIGTERM");
    await until(() => child.exitCode !== undefined, { what: "the end", within: PROMISED_MS });
    expect([child.exitCode, child.output()]).toEqual([code, expect.not.stringMatching(/^ +at /m)]);
  });
}

const longTest = process.env["ENTREPOT_LONG"] === "1" && real.available ? test : test.skip;
const PHASES = ["a rebuild of the metadata", "a download", "eviction", "a scrub"] as const;

for (const phase of PHASES) {
  longTest(
    `on a slow disk, the cache ends in time in the middle of ${phase}`,
    async () => {
      await using upstream = await startScriptedUpstream();
      const blob = randomContent(40 * MIB, 1);
      upstream.addBlob("app", blob);
      await using dir = await tempDir("ending");
      const data = dir.file("data");
      await cp(template.file("data"), data, { recursive: true });
      if (phase === "a rebuild of the metadata") {
        // Sidecar files, from which it is rebuilt.
        await using first = await startEntrepot({ data });
        await first.stop();
        await rm(join(data, "metadata.db"));
      }
      const storage = {
        maxSize: phase === "eviction" ? "2MB" : "10GB",
        minFree: 0,
        scrub: phase === "a scrub" ? "100MB" : 0,
      };
      const upstreams = { "reg.test": localUpstream(upstream.url) };
      await using cache = await startEntrepot({ config: { storage, upstreams }, data });
      const fault = { calls: [...FILE_READS, ...SYNCS], delay: 2000 };
      await using _ = await injectSystemFault(cache.pid, fault);
      let pulling: Promise<unknown> | undefined;
      if (phase === "a download") {
        upstream.respond(({ kind }) => (kind === "blob" ? faults.stallAfter(20 * MIB) : undefined));
        const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
        pulling = response.bytes().catch(() => {});
        const sent = () => upstream.requests({ kind: "blob" })[0]?.sent ?? 0;
        await until(() => sent() === 20 * MIB, { what: "20 MiB", within: 40_000 });
      }
      process.kill(cache.pid, "SIGTERM");
      await until(() => cache.exitCode !== undefined, { what: "the end", within: PROMISED_MS });
      expect(cache.exitCode).toBe(0);
      expect(cache.output()).not.toMatch(/^ +at /m);
      if (phase === "a download") expect(await unfinishedFills(data)).toHaveLength(1);
      await pulling;
    },
    120_000,
  );
}
