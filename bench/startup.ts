import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "../scripts/build.mjs";
import { ChildProcess } from "../test/harness/processes.ts";
import { peakMegabytes } from "./kernel.ts";
import { makeStore } from "./many-blobs.ts";
import type { Run } from "./run.ts";

const CHECKOUT = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/** A start takes a tenth of a second, so that many can be had for a median. */
const STARTS = 15;

/** From the start of the program to the first content that it gives, with a full store. */
export async function measureStartup(run: Run): Promise<void> {
  const count = run.quick ? 10_000 : 100_000;
  const workload = `start with ${count.toLocaleString("en")} blobs`;
  run.step(`making a store of ${count} blobs`);
  const data = run.dir.file("many");
  const path = await makeStore(data, count);
  const config = run.dir.file("many.yaml");
  await writeFile(config, 'upstreams:\n  bench.test: { url: "https://bench.test" }\n');
  const programs: Record<string, string> = { entrepot: CHECKOUT };
  if (!run.quick) {
    run.step("building the single executable");
    programs["executable"] = build(process.arch, run.dir.file("built"));
  }
  const places = ["--config", config, "--data", data];
  for (let start = 0; start < STARTS; start += 1) {
    // In turns, so that what else the machine does falls on both alike.
    for (const [system, program] of Object.entries(programs)) {
      if (start === 0) run.step(`${STARTS} starts of ${system}`);
      const figures = await startOnce([program, "serve", ...places], path);
      run.add(workload, system, figures);
    }
  }
}

/**
 * One start. The cache's own word that it listens is acted upon as it comes: asking again and again
 * whether it does would add to the time, and take from it what it measures.
 */
async function startOnce(
  command: readonly string[],
  path: string,
): Promise<Readonly<Record<string, number>>> {
  const { promise, resolve, reject } = Promise.withResolvers<{ address: string; pid: number }>();
  const anyPort = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"];
  const started = performance.now();
  await using cache = new ChildProcess({
    name: "entrepot",
    command: [...command, ...anyPort],
    onLine: (line) => {
      const told = /"listen":"([^"]+)"/.exec(line)?.[1];
      if (told !== undefined) resolve({ address: told, pid: cache.pid });
    },
    ready: () => true,
  });
  void cache.ended().then(() => reject(new Error(`entrepot did not start:\n${cache.output()}`)));
  const { address, pid } = await promise;
  const response = await fetch(`http://${address}${path}`);
  const body = await response.text();
  const milliseconds = performance.now() - started;
  if (response.status !== 200 || !body.startsWith("blob ")) {
    throw new Error(`the first answer was ${response.status}: ${body}`);
  }
  return { "first answer ms": milliseconds, "peak MB": peakMegabytes([pid]) };
}
