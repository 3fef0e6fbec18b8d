import { family, peakMegabytes } from "./kernel.ts";
import { download } from "./load.ts";
import { makeStore } from "./many-blobs.ts";
import { probe, type Waits } from "./probe.ts";
import { median } from "./results.ts";
import type { Run } from "./run.ts";
import type { Running } from "./systems.ts";

/** Of each, in bytes: far less than a layer has, so that it is much work for what it frees. */
const SIZE = 64 * 1024;
/** Of each measurement, in seconds. Both sizes take turns until the eviction is over. */
const WINDOW = 1;

type Size = "10 KiB" | "16 MiB";
const SIZES: readonly Size[] = ["10 KiB", "16 MiB"];

/**
 * Hits while thousands of contents go, and the same hits afterwards: small ones, in which every wait
 * shows, and some as large as a layer. It evicts because it was given a lower bound: faster than for
 * what comes in from a registry, and beside nothing else. nginx says how evenly anything is answered
 * on this machine.
 */
export async function measureEvicting(run: Run): Promise<void> {
  const { registry } = run.upstream;
  // Contents that are there at first, of which two thirds have to go.
  const count = run.quick ? 4000 : 12_000;
  const idleSeconds = run.quick ? 1 : 3;
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`making a store of ${count} blobs of ${SIZE / 1024} KiB`);
    const data = run.dir.file(`evicting-${round}`);
    await makeStore(data, count, SIZE);
    {
      await using cache = await run.startBound(registry.url, { data, maxSize: 2 * count * SIZE });
      for (const size of SIZES) await download(urlOf(run, cache, size), cache.pid, { clients: 1 });
    }
    run.step("hits during an eviction of two thirds of them");
    const maxSize = (count * SIZE) / 3;
    await using cache = await run.startBound(registry.url, { data, maxSize });
    const busy: Record<Size, Waits[]> = { "10 KiB": [], "16 MiB": [] };
    const started = performance.now();
    for (let gone = 0, turn = 0; ; turn += 1) {
      const size = turn % 2 === 0 ? "10 KiB" : "16 MiB";
      const waited = await probeHits(run, cache, size, WINDOW);
      const now = await removed(cache);
      if (gone > 0 && now === gone) break;
      if (now > gone) busy[size].push(waited);
      gone = now;
    }
    const seconds = (performance.now() - started) / 1000;
    await using nginx = await run.start("nginx-static", registry.url);
    for (const size of SIZES) {
      const workload = `${size} hits during an eviction`;
      const idle = await probeHits(run, cache, size, idleSeconds);
      const p99 = median(busy[size].map((waits) => waits.p99));
      run.add(workload, "entrepot", {
        ...evenness(idle),
        "p50 ms, evicting": median(busy[size].map((waits) => waits.p50)),
        "p99 ms, evicting": p99,
        "slowest ms, evicting": Math.max(...busy[size].map((waits) => waits.slowest)),
        "over 2 × median, %, evicting": slowPart(busy[size]),
        "p99 evicting over idle": p99 / idle.p99,
      });
      run.add(workload, "nginx-static", evenness(await probeHits(run, nginx, size, idleSeconds)));
    }
    run.add("eviction beside hits", "entrepot", {
      "contents/s": (await removed(cache)) / seconds,
      "peak MB": peakMegabytes(family(cache.pid)),
    });
  }
}

function urlOf({ upstream }: Run, system: Running, size: Size): string {
  const { small, layer } = upstream.stock;
  return system.at(`blobs/${(size === "10 KiB" ? small : layer).digest}`);
}

function probeHits(run: Run, system: Running, size: Size, seconds: number): Promise<Waits> {
  return probe(urlOf(run, system, size), seconds, size === "10 KiB" ? 4 : 1);
}

function evenness(idle: Waits): Readonly<Record<string, number>> {
  return {
    "p50 ms, idle": idle.p50,
    "p99 ms, idle": idle.p99,
    "slowest ms, idle": idle.slowest,
    "over 2 × median, %, idle": slowPart([idle]),
  };
}

function slowPart(all: readonly Waits[]): number {
  const sum = (of: (waits: Waits) => number): number =>
    all.reduce((total, one) => total + of(one), 0);
  return (100 * sum(({ slow }) => slow)) / sum(({ count }) => count);
}

async function removed({ metrics = "" }: Running): Promise<number> {
  const text = await (await fetch(metrics)).text();
  return Number(/entrepot_removed_total\{why="bound"\} (\d+)/.exec(text)?.[1] ?? 0);
}
