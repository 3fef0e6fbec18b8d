import { family, peakMegabytes } from "./kernel.ts";
import { download } from "./load.ts";
import { makeStore } from "./many-blobs.ts";
import { probe, type Waits } from "./probe.ts";
import type { Run } from "./run.ts";
import type { Running } from "./systems.ts";

/** Contents that are there at first, of which two thirds have to go. */
const COUNT = 30_000;
/** Of each, in bytes: far less than a layer has, so that it is much work for what it frees. */
const SIZE = 64 * 1024;
/** Of each measurement, in seconds. Both sizes take turns until the eviction is over. */
const WINDOW = 1;

type Size = "10 KiB" | "16 MiB";

/**
 * Hits while thousands of contents go, and the same hits afterwards: small ones, in which every wait
 * shows, and some as large as a layer. It evicts because it was given a lower bound: faster than for
 * what comes in from a registry, and beside nothing else.
 */
export async function measureEvicting(run: Run): Promise<void> {
  const { registry, stock } = run.upstream;
  const paths = {
    "10 KiB": `blobs/${stock.small.digest}`,
    "16 MiB": `blobs/${stock.layer.digest}`,
  };
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`making a store of ${COUNT} blobs of ${SIZE / 1024} KiB`);
    const data = run.dir.file(`evicting-${round}`);
    await makeStore(data, COUNT, SIZE);
    {
      await using cache = await run.startBound(registry.url, { data, maxSize: 2 * COUNT * SIZE });
      for (const path of Object.values(paths)) {
        await download(cache.at(path), cache.pid, { clients: 1 });
      }
    }
    run.step("hits during an eviction of two thirds of them");
    const maxSize = (COUNT * SIZE) / 3;
    await using cache = await run.startBound(registry.url, { data, maxSize });
    const waits = (size: Size): Promise<Waits> =>
      probe(cache.at(paths[size]), WINDOW, size === "10 KiB" ? 4 : 1);
    const busy: Record<Size, Waits[]> = { "10 KiB": [], "16 MiB": [] };
    const started = performance.now();
    for (let gone = 0, turn = 0; ; turn += 1) {
      const size = turn % 2 === 0 ? "10 KiB" : "16 MiB";
      const waited = await waits(size);
      const now = await removed(cache);
      if (gone > 0 && now === gone) break;
      if (now > gone) busy[size].push(waited);
      gone = now;
    }
    const seconds = (performance.now() - started) / 1000;
    for (const size of ["10 KiB", "16 MiB"] as const) {
      const idle = await probe(cache.at(paths[size]), 3 * WINDOW, size === "10 KiB" ? 4 : 1);
      const p99 = Math.max(...busy[size].map((each) => each.p99));
      const slowest = Math.max(...busy[size].map((each) => each.slowest));
      run.add(`${size} hits during an eviction`, "entrepot", {
        "p50 ms, idle": idle.p50,
        "p99 ms, idle": idle.p99,
        "slowest ms, idle": idle.slowest,
        "p50 ms, evicting": Math.max(...busy[size].map((each) => each.p50)),
        "p99 ms, evicting": p99,
        "slowest ms, evicting": slowest,
        "p99 evicting over idle": p99 / idle.p99,
        "slowest evicting over median idle": slowest / idle.p50,
      });
    }
    run.add("eviction beside hits", "entrepot", {
      "contents/s": (await removed(cache)) / seconds,
      "peak MB": peakMegabytes(family(cache.pid)),
    });
  }
}

async function removed({ metrics = "" }: Running): Promise<number> {
  const text = await (await fetch(metrics)).text();
  return Number(/entrepot_removed_total\{why="bound"\} (\d+)/.exec(text)?.[1] ?? 0);
}
