import { family, peakMegabytes, residentMegabytes } from "./kernel.ts";
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

/** Content that is there already, with the registry next door, which is to the advantage of those that ask it. */
export async function measureHits(run: Run): Promise<void> {
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const name of SYSTEMS) {
      run.step(`hits, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.start(name, run.upstream.registry.url);
      await warm(run, system);
      await large(run, system);
      await small(run, system);
      run.add("memory of hits", name, { "peak MB": peakMegabytes(family(system.pid)) });
    }
  }
}

export async function warm({ upstream }: Run, { at, pid }: Running): Promise<void> {
  const { large: blob, small: little, manifest } = upstream.stock;
  const paths = [
    "manifests/1",
    `manifests/${manifest.digest}`,
    `blobs/${blob.digest}`,
    `blobs/${little.digest}`,
  ];
  for (const path of paths) await download(at(path), pid, { clients: 1 });
}

async function large(run: Run, system: Running): Promise<void> {
  const plans = run.quick
    ? [[4, 1]]
    : [
        [1, 6],
        [4, 2],
        [32, 1],
      ];
  for (const [clients = 1, times = 1] of plans) {
    await largeHits(run, system, `256 MiB hit, ${clients} at once`, { clients, times });
  }
}

export async function largeHits(
  run: Run,
  { name, at, pid }: Running,
  workload: string,
  plan: { readonly clients: number; readonly times: number },
): Promise<void> {
  const { digest } = run.upstream.stock.large;
  const { each, seconds, cpu } = await download(at(`blobs/${digest}`), pid, plan);
  const gigabytes = (each.length * 256 * MIB) / 1e9;
  run.add(workload, name, { "GB/s": gigabytes / seconds, "CPU s per GB": cpu / gigabytes });
}

async function small(run: Run, system: Running): Promise<void> {
  const { small: blob, manifest } = run.upstream.stock;
  const loads = [
    ["10 KiB hit", `blobs/${blob.digest}`, run.quick ? 1 : 5],
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
): Promise<void> {
  const load = await smallLoad(at(path), pid, seconds);
  run.add(workload, name, {
    "requests/s": load.requestsPerSecond,
    "p50 ms": load.p50,
    "p99 ms": load.p99,
    "CPU µs per request": load.cpuMicroseconds,
  });
}

/** Small hits for a while: memory at the end over that after the first third. */
export async function measureSoak(run: Run): Promise<void> {
  const seconds = run.quick ? 3 : 20;
  run.step(`soak, ${3 * seconds} s`);
  await using system = await run.start("entrepot", run.upstream.registry.url);
  const pids = family(system.pid);
  const paths = [`blobs/${run.upstream.stock.small.digest}`, "manifests/1"];
  const third = async (): Promise<number> => {
    for (const path of paths)
      await smallLoad(system.at(path), system.pid, Math.ceil(seconds / paths.length));
    return residentMegabytes(pids);
  };
  const early = await third();
  await third();
  const late = await third();
  run.add("soak", "entrepot", { "late over early": late / early, "peak MB": peakMegabytes(pids) });
}
