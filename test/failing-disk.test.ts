import { expect } from "bun:test";
import { commandOn } from "./harness/commands.ts";
import { bytesOf, randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { run } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs } from "./harness/store-files.ts";
import { injectSystemFault, READS, withSystemFault } from "./harness/system-faults.ts";

const MIB = 1024 * 1024;
const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  const upstreams = { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } };
  return { storage: { scrub: 0, ...storage }, upstreams };
}

realTest("fsck keeps a blob that cannot be read, also with --repair", async () => {
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
