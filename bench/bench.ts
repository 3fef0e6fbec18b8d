// Benchmarks Entrepot against other caches: `npm run bench -- [NAME …] [--quick] [--guard]
// [--baseline]`.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tempDir } from "../test/harness/temp-dir.ts";
import { measureInspect } from "./cold/inspect.ts";
import { measureManyFills } from "./cold/many-fills.ts";
import {
  measureGzippedLayers,
  measureManyLayers,
  measureOneLayer,
  measureSevenLayers,
  measureSharedBase,
} from "./cold/pulls.ts";
import { measureFooter, measureRanges } from "./cold/ranges.ts";
import { measureAccess } from "./access.ts";
import { measureCluster } from "./cluster.ts";
import { measureFill } from "./fill.ts";
import { measureEvicting } from "./evicting.ts";
import { GOALS } from "./goals.ts";
import { baselineOf, readBaseline, regressions } from "./guard.ts";
import { measureHerd } from "./herd.ts";
import { measureHits, measureSoak } from "./hits.ts";
import { machine } from "./kernel.ts";
import { goalTable, plot, table } from "./report.ts";
import { judge, summarise } from "./results.ts";
import { Run } from "./run.ts";
import { measureMisses } from "./misses.ts";
import { measureStartup } from "./startup.ts";
import { measureTls } from "./tls.ts";
import { measureTracing } from "./tracing.ts";
import { MIB, startUpstream } from "./upstream.ts";
import { measurePages } from "./pages.ts";
import { measurePolicies } from "./policies.ts";
import { measureWorkers } from "./workers.ts";

const WORKLOADS: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  hits: measureHits,
  tls: measureTls,
  herd: measureHerd,
  cluster: measureCluster,
  "many-layers": measureManyLayers,
  "seven-layers": measureSevenLayers,
  "one-layer": measureOneLayer,
  "gzipped-layers": measureGzippedLayers,
  "shared-base": measureSharedBase,
  inspect: measureInspect,
  ranges: measureRanges,
  footer: measureFooter,
  fill: measureFill,
  "many-fills": measureManyFills,
  misses: measureMisses,
  evicting: measureEvicting,
  startup: measureStartup,
  soak: measureSoak,
  workers: measureWorkers,
  pages: measurePages,
  tracing: measureTracing,
  access: measureAccess,
  policies: measurePolicies,
};

const BASELINE = join(import.meta.dir, "baseline.json");

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      guard: { type: "boolean", default: false },
      baseline: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
    },
  });
  const { quick } = values;
  const named = [...positionals, ...values.only];
  const names = named.length > 0 ? named : Object.keys(WORKLOADS);
  const unknown = names.filter((name) => !(name in WORKLOADS));
  if (unknown.length > 0) {
    console.error(
      `unknown workload ${unknown.join(", ")}: use ${Object.keys(WORKLOADS).join(", ")}`,
    );
    return 2;
  }
  await using dir = await tempDir("bench");
  process.stderr.write(`${machine()}\nstarting the upstream registry\n`);
  await using upstream = await startUpstream((quick ? 256 : 2048) * MIB);
  const run = new Run({ upstream, dir, quick });
  for (const name of names) await WORKLOADS[name]?.(run);

  const rows = summarise(run.measurements);
  const goals = judge(GOALS, rows);
  const title = `${machine()}, ${run.rounds} round(s), ${run.seconds.toFixed(0)} s`;
  const text = `${title}\n\n${table(rows)}\n\n${goalTable(goals)}\n`;
  console.log(text);
  const folder = join(import.meta.dir, "results");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "results.md"), text);
  await writeFile(join(folder, "results.svg"), plot(rows));
  const json = { machine: machine(), date: new Date().toISOString(), quick, rows, goals };
  await writeFile(join(folder, "results.json"), `${JSON.stringify(json, undefined, 2)}\n`);
  console.log(`results are in ${folder}`);
  if (values.baseline) {
    await writeFile(BASELINE, `${JSON.stringify(baselineOf(goals), undefined, 2)}\n`);
  }
  if (!values.guard) return 0;
  if (!(await Bun.file(BASELINE).exists())) {
    console.error(`${BASELINE} does not exist: write it with --baseline`);
    return 2;
  }
  const failures = regressions(goals, readBaseline(await Bun.file(BASELINE).text()));
  for (const line of failures) console.log(`(fail) ${line}`);
  if (failures.length === 0) console.log("No ratio is worse than the baseline allows.");
  return failures.length > 0 ? 1 : 0;
}

process.exit(await main());
