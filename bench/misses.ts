import { fileURLToPath } from "node:url";
import { mustRun } from "../test/harness/processes.ts";
import { peakMegabytes, processTree } from "./kernel.ts";
import { download } from "./load.ts";
import { probe } from "./probe.ts";
import type { Run } from "./run.ts";

const MISSES = 2000;
const CLIENTS = fileURLToPath(new URL("miss-clients.ts", import.meta.url));

/** Latency of small hits while thousands of other requests arrive at once, each for something that is not stored. */
export async function measureMisses(run: Run): Promise<void> {
  const { registry } = run.upstream;
  const blobs = await run.upstream.blobs();
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`hits beside ${MISSES} misses, round ${round} of ${run.rounds}`);
    await using cache = await run.startEmpty("entrepot", registry.url);
    const url = cache.at(`blobs/${blobs.small.digest}`);
    await download(url, cache.pid, { clients: 1 });
    const idle = await probe(url, 4);
    const [missing] = await Promise.all([probe(url, 4), missAtOnce(cache.at("blobs/DIGEST"))]);
    run.add(`hits beside ${MISSES} misses`, "entrepot", {
      "p99 ms, idle": idle.p99,
      "p99 ms, misses": missing.p99,
      "max ms, idle": idle.max,
      "max ms, misses": missing.max,
      "max, misses over idle": missing.max / idle.max,
      "peak MB": peakMegabytes(processTree(cache.pid)),
    });
  }
}

async function missAtOnce(url: string): Promise<void> {
  // So that the clients begin after the probe has.
  await Bun.sleep(500);
  await mustRun([process.execPath, CLIENTS, url, String(MISSES)]);
}
