import { peakMegabytes, processTree, residentMegabytes } from "./kernel.ts";
import { download, smallLoad } from "./load.ts";
import type { Run } from "./run.ts";
import type { Running, SystemName } from "./systems.ts";
import { MIB } from "./upstream.ts";

const SYSTEMS: readonly SystemName[] = [
  "nginx-static",
  "entrepot",
  "nginx-cache",
  "docker-registry",
];

/**
 * Hits: everything is cached already. The upstream registry is on this machine, which favours
 * caches that revalidate with it.
 */
export async function measureHits(run: Run): Promise<void> {
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const name of SYSTEMS) {
      run.step(`hits, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.start(name, run.upstream.registry.url);
      await warm(run, system);
      await measureLarge(run, system);
      await measureSmall(run, system);
      run.add("memory of hits", name, { "peak MB": peakMegabytes(processTree(system.pid)) });
    }
  }
}

/** Puts everything that is measured into the cache. */
export async function warm({ upstream }: Run, { at, pid }: Running): Promise<void> {
  const { large, small, manifest } = await upstream.blobs();
  const paths = [
    "manifests/1",
    `manifests/${manifest.digest}`,
    `blobs/${large.digest}`,
    `blobs/${small.digest}`,
  ];
  for (const path of paths) await download(at(path), pid, { clients: 1 });
}

async function measureLarge(run: Run, system: Running): Promise<void> {
  const loads = run.quick
    ? [[4, 1]]
    : [
        [1, 6],
        [4, 2],
        [32, 1],
      ];
  for (const [clients = 1, times = 1] of loads) {
    await largeHits(run, system, `256 MiB hit, ${clients} at once`, { clients, times });
  }
}

export async function largeHits(
  run: Run,
  { name, at, pid }: Running,
  workload: string,
  load: { readonly clients: number; readonly times: number },
  system: string = name,
): Promise<void> {
  const { digest } = (await run.upstream.blobs()).large;
  const { each, seconds, cpuSeconds } = await download(at(`blobs/${digest}`), pid, load);
  const gigabytes = (each.length * 256 * MIB) / 1e9;
  run.add(workload, system, {
    "GB/s": gigabytes / seconds,
    "CPU s per GB": cpuSeconds / gigabytes,
  });
}

async function measureSmall(run: Run, system: Running): Promise<void> {
  const { small, manifest } = await run.upstream.blobs();
  const loads = [
    ["10 KiB hit", `blobs/${small.digest}`, run.quick ? 1 : 5],
    ["manifest by fresh tag", "manifests/1", run.quick ? 1 : 4],
    ["manifest by digest", `manifests/${manifest.digest}`, run.quick ? 1 : 4],
  ] as const;
  for (const [workload, path, seconds] of loads) {
    await smallHits(run, system, workload, { path, seconds });
  }
}

export async function smallHits(
  run: Run,
  { name, at, pid }: Running,
  workload: string,
  { path, seconds }: { readonly path: string; readonly seconds: number },
  system: string = name,
): Promise<void> {
  const load = await smallLoad(at(path), pid, seconds);
  run.add(workload, system, {
    "requests/s": load.requestsPerSecond,
    "p50 ms": load.p50,
    "p99 ms": load.p99,
    "CPU µs per request": load.cpuMicroseconds,
  });
}

/** Whether resident memory grows during small hits: its size at the end over that after a third. */
export async function measureSoak(run: Run): Promise<void> {
  const seconds = run.quick ? 3 : 20;
  run.step(`soak, ${3 * seconds} s`);
  await using system = await run.start("entrepot", run.upstream.registry.url);
  const pids = processTree(system.pid);
  const { small } = await run.upstream.blobs();
  const paths = [`blobs/${small.digest}`, "manifests/1"];
  const runThird = async (): Promise<number> => {
    for (const path of paths)
      await smallLoad(system.at(path), system.pid, Math.ceil(seconds / paths.length));
    return residentMegabytes(pids);
  };
  const first = await runThird();
  await runThird();
  const last = await runThird();
  run.add("soak", "entrepot", {
    "memory, last over first third": last / first,
    "peak MB": peakMegabytes(pids),
  });
}
