import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "../scripts/build.mjs";
import { ChildProcess } from "../test/harness/processes.ts";
import { peakMegabytes } from "./kernel.ts";
import { makeStore } from "./many-blobs.ts";
import type { Run } from "./run.ts";

const CHECKOUT = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/** A start takes only a tenth of a second, so the median of many is affordable. */
const STARTS = 15;

/** The time from starting the program to its first served blob, with a full store. */
export async function measureStartup(run: Run): Promise<void> {
  const count = run.quick ? 10_000 : 100_000;
  const workload = `start with ${count.toLocaleString("en")} blobs`;
  run.step(`creating a store of ${count} blobs`);
  const data = run.dir.file("many");
  const path = await makeStore(data, count);
  const config = run.dir.file("many.yaml");
  await writeFile(config, 'upstreams:\n  bench.test: { url: "https://bench.test" }\n');
  const programs: Record<string, string> = { entrepot: CHECKOUT };
  if (!run.quick) {
    run.step("building the single executable");
    programs["executable"] = build(process.arch, run.dir.file("built"));
  }
  const flags = ["--config", config, "--data", data];
  for (let start = 0; start < STARTS; start += 1) {
    // Alternating, so that other load on the machine affects both equally.
    for (const [system, program] of Object.entries(programs)) {
      if (start === 0) run.step(`${STARTS} starts of ${system}`);
      const figures = await startOnce([program, "serve", ...flags], path);
      run.add(workload, system, figures);
    }
  }
}

/**
 * Measures one start. Waits for the cache's log line that it listens: polling would add to the
 * time, and compete with the cache for the CPU.
 */
export async function startOnce(
  command: readonly string[],
  path: string,
): Promise<Readonly<Record<string, number>>> {
  const { promise, resolve, reject } = Promise.withResolvers<{ address: string; pid: number }>();
  const anyPort = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"];
  const startedAt = performance.now();
  await using cache = new ChildProcess({
    name: "entrepot",
    command: [...command, ...anyPort],
    onLine: (line) => {
      const address = /"listen":"([^"]+)"/.exec(line)?.[1];
      if (address !== undefined) resolve({ address, pid: cache.pid });
    },
    ready: () => true,
  });
  void cache.ended().then(() => reject(new Error(`entrepot did not start:\n${cache.output()}`)));
  const { address, pid } = await promise;
  const response = await fetch(`http://${address}${path}`);
  const body = await response.text();
  const milliseconds = performance.now() - startedAt;
  if (response.status !== 200 || !body.startsWith("blob ")) {
    throw new Error(`the first response was ${response.status}: ${body}`);
  }
  return { "first response ms": milliseconds, "peak MB": peakMegabytes([pid]) };
}
