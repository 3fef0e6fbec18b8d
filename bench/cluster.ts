import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../test/harness/free-port.ts";
import { startPostgres } from "../test/harness/replicas/postgres.ts";
import { largeHits, smallHits, warm } from "./hits.ts";
import { peakMegabytes, processTree } from "./kernel.ts";
import { downloadConcurrently } from "./load.ts";
import { makeStore } from "./many-blobs.ts";
import { FAR, type Run } from "./run.ts";
import { startShaper } from "./shaped-link.ts";
import { startOnce } from "./startup.ts";
import type { Running } from "./systems.ts";

const REPLICAS = 3;
/** With one client each, the line is what limits; with twenty, the processors that all of it shares. */
const HERDS = [
  { clients: 1, blob: "large" },
  { clients: 20, blob: "herd" },
] as const;
/** The cluster stands for the product, as in every other line. */
const KINDS = { entrepot: "cluster", independent: "independent" } as const;
const STARTS = 9;
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/** Replicas of one cluster beside as many caches that do not know each other. */
export async function measureCluster(run: Run): Promise<void> {
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const [name, kind] of Object.entries(KINDS)) {
      run.step(`herd of ${REPLICAS} replicas, round ${round} of ${run.rounds}: ${kind}`);
      await using stack = new AsyncDisposableStack();
      const link = stack.use(await startShaper(run.upstream.registry.port, FAR));
      const replicas = await run.startReplicas(link.url, kind, REPLICAS);
      for (const replica of replicas) stack.use(replica);
      for (const herd of HERDS) await measureHerd(run, name, replicas, herd);
      const [first] = replicas;
      if (first) await measureHits(run, first, name);
    }
  }
  await measureStart(run);
}

async function measureHerd(
  run: Run,
  name: string,
  replicas: readonly Running[],
  { clients, blob }: (typeof HERDS)[number],
): Promise<void> {
  const { registry } = run.upstream;
  const { digest, size } = (await run.upstream.blobs())[blob];
  await registry.forget();
  const herds = await Promise.all(
    replicas.map(({ at, pid }) =>
      downloadConcurrently(at(`blobs/${digest}`), pid, { clients, size }),
    ),
  );
  const requests = await registry.requests({ method: "GET", path: new RegExp(digest) });
  run.add(`cold herd, ${clients} at each of ${REPLICAS} replicas`, name, {
    "upstream GETs": requests.length,
    "upstream bytes over unique": requests.reduce((sum, { sent }) => sum + sent, 0) / size,
    "last byte s": Math.max(...herds.map(({ seconds }) => seconds)),
    "CPU s": herds.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    "peak MB of a replica": Math.max(...replicas.map(({ pid }) => peakMegabytes(processTree(pid)))),
  });
}

/** Hits at one replica, while the others are there. */
async function measureHits(run: Run, replica: Running, system: string): Promise<void> {
  const { small } = await run.upstream.blobs();
  await warm(run, replica);
  const load = { clients: 4, times: run.quick ? 1 : 2 };
  await largeHits(run, replica, "replica: 256 MiB hit, 4 at once", load, system);
  const path = `blobs/${small.digest}`;
  const seconds = run.quick ? 2 : 5;
  await smallHits(run, replica, "replica: 10 KiB hit", { path, seconds }, system);
}

/** From the start of the program to its first served blob, with a ledger, while no other replica answers. */
async function measureStart(run: Run): Promise<void> {
  await using postgres = await startPostgres();
  const data = run.dir.file("many-replica");
  const path = await makeStore(data, run.quick ? 10_000 : 100_000);
  const [secretFile, config] = [run.dir.file("start-secret"), run.dir.file("start.yaml")];
  await writeFile(secretFile, "the secret of the benchmark");
  const urlFile = run.dir.file("start-database");
  await writeFile(urlFile, await postgres.database());
  const listen = `127.0.0.1:${freePort()}`;
  const members = [listen, `127.0.0.1:${freePort()}`].map((address) => `http://${address}`);
  const database = { urlFile };
  const cluster = { listen, advertise: `http://${listen}`, secretFile, members, database };
  const upstreams = { "bench.test": { url: "https://bench.test" } };
  await writeFile(config, JSON.stringify({ cluster, upstreams }));
  run.step(`${STARTS} starts of a replica`);
  for (let start = 0; start < STARTS; start += 1) {
    const command = [PROGRAM, "serve", "--config", config, "--data", data];
    run.add("replica: start", "entrepot", await startOnce(command, path));
  }
}
