import { peakMegabytes, processTree } from "./kernel.ts";
import { download } from "./load.ts";
import { makeStore } from "./many-blobs.ts";
import { type Latencies, probe } from "./probe.ts";
import { median } from "./results.ts";
import type { Run } from "./run.ts";
import type { Running } from "./systems.ts";

/**
 * Bytes per evicted blob: far less than a typical layer, so that each freed byte costs much work.
 */
const BLOB_SIZE = 64 * 1024;
/** Seconds per measurement. The two hit sizes alternate until the eviction is complete. */
const WINDOW_S = 1;

type Size = "10 KiB" | "16 MiB";
const SIZES: readonly Size[] = ["10 KiB", "16 MiB"];

/**
 * Latency of hits while thousands of blobs are evicted, and of the same hits afterwards: small
 * hits, in which every delay shows, and hits of the size of a layer. The eviction is caused by a
 * restart with a lower `maxSize`: it runs faster than one that makes space for a fill, and nothing
 * else runs beside it. nginx shows how much latency varies on this machine in any case.
 */
export async function measureEvicting(run: Run): Promise<void> {
  const { registry } = run.upstream;
  // Two thirds of these blobs will be evicted.
  const count = run.quick ? 4000 : 12_000;
  const idleSeconds = run.quick ? 1 : 3;
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`creating a store of ${count} blobs of ${BLOB_SIZE / 1024} KiB`);
    const data = run.dir.file(`evicting-${round}`);
    await makeStore(data, count, BLOB_SIZE);
    {
      const maxSize = 2 * count * BLOB_SIZE;
      await using cache = await run.startLimited(registry.url, { data, maxSize });
      for (const size of SIZES)
        await download(await urlOf(run, cache, size), cache.pid, { clients: 1 });
    }
    run.step("hits during the eviction of two thirds of them");
    const maxSize = (count * BLOB_SIZE) / 3;
    await using cache = await run.startLimited(registry.url, { data, maxSize });
    const evicting: Record<Size, Latencies[]> = { "10 KiB": [], "16 MiB": [] };
    const startedAt = performance.now();
    for (let evicted = 0, turn = 0; ; turn += 1) {
      const size = turn % 2 === 0 ? "10 KiB" : "16 MiB";
      const latencies = await probeHits(run, cache, size, WINDOW_S);
      const total = await evictions(cache);
      if (evicted > 0 && total === evicted) break;
      if (total > evicted) evicting[size].push(latencies);
      evicted = total;
    }
    const seconds = (performance.now() - startedAt) / 1000;
    await using nginx = await run.start("nginx-static", registry.url);
    for (const size of SIZES) {
      const workload = `${size} hits during an eviction`;
      const idle = await probeHits(run, cache, size, idleSeconds);
      const p99 = median(evicting[size].map((latencies) => latencies.p99));
      run.add(workload, "entrepot", {
        ...idleFigures(idle),
        "p50 ms, evicting": median(evicting[size].map((latencies) => latencies.p50)),
        "p99 ms, evicting": p99,
        "max ms, evicting": Math.max(...evicting[size].map((latencies) => latencies.max)),
        "over 2 × median, %, evicting": slowPercentage(evicting[size]),
        "p99 evicting over idle": p99 / idle.p99,
      });
      const nginxIdle = await probeHits(run, nginx, size, idleSeconds);
      run.add(workload, "nginx-static", idleFigures(nginxIdle));
    }
    run.add("eviction during hits", "entrepot", {
      "blobs/s": (await evictions(cache)) / seconds,
      "peak MB": peakMegabytes(processTree(cache.pid)),
    });
  }
}

async function urlOf({ upstream }: Run, system: Running, size: Size): Promise<string> {
  const { small, layer } = await upstream.blobs();
  return system.at(`blobs/${(size === "10 KiB" ? small : layer).digest}`);
}

async function probeHits(
  run: Run,
  system: Running,
  size: Size,
  seconds: number,
): Promise<Latencies> {
  return probe(await urlOf(run, system, size), seconds, size === "10 KiB" ? 4 : 1);
}

function idleFigures(idle: Latencies): Readonly<Record<string, number>> {
  return {
    "p50 ms, idle": idle.p50,
    "p99 ms, idle": idle.p99,
    "max ms, idle": idle.max,
    "over 2 × median, %, idle": slowPercentage([idle]),
  };
}

function slowPercentage(all: readonly Latencies[]): number {
  const sum = (field: "slow" | "count"): number =>
    all.reduce((total, latencies) => total + latencies[field], 0);
  return (100 * sum("slow")) / sum("count");
}

/** How many blobs the cache has evicted since its start. */
async function evictions({ metrics = "" }: Running): Promise<number> {
  const text = await (await fetch(metrics)).text();
  return Number(/entrepot_removed_blobs_total\{reason="max-size"\} (\d+)/.exec(text)?.[1] ?? 0);
}
