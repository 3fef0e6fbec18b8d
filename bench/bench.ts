// Measures Entrepot beside its peers: `npm run bench -- [--quick] [--only NAME] [--guard] [--baseline]`.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tempDir } from "../test/harness/places.ts";
import { measureBusy } from "./busy.ts";
import { measureEvicting } from "./evicting.ts";
import { GOALS } from "./goals.ts";
import { baselineOf, readBaseline, regressions } from "./guard.ts";
import { measureHerd } from "./herd.ts";
import { measureHits, measureSoak } from "./hits.ts";
import { measureImage } from "./image.ts";
import { machine } from "./kernel.ts";
import { goalTable, plot, table } from "./report.ts";
import { judge, summarise } from "./results.ts";
import { Run } from "./run.ts";
import { measureStartup } from "./startup.ts";
import { measureTls } from "./tls.ts";
import { MIB, startUpstream } from "./upstream.ts";

const WORKLOADS: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  hits: measureHits,
  tls: measureTls,
  herd: measureHerd,
  image: measureImage,
  busy: measureBusy,
  evicting: measureEvicting,
  startup: measureStartup,
  soak: measureSoak,
};

const BASELINE = join(import.meta.dir, "baseline.json");

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      guard: { type: "boolean", default: false },
      baseline: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: Object.keys(WORKLOADS) },
    },
  });
  const { quick, only } = values;
  const unknown = only.filter((name) => !(name in WORKLOADS));
  if (unknown.length > 0) {
    console.error(
      `there is no workload ${unknown.join(", ")}: ${Object.keys(WORKLOADS).join(", ")}`,
    );
    return 2;
  }
  await using dir = await tempDir("bench");
  process.stderr.write(`${machine()}\nmaking the registry that is pulled from\n`);
  await using upstream = await startUpstream((quick ? 256 : 2048) * MIB);
  const run = new Run({ upstream, dir, quick });
  for (const name of only) await WORKLOADS[name]?.(run);

  const rows = summarise(run.measurements);
  const judged = judge(GOALS, rows);
  const title = `${machine()}, ${run.rounds} round(s), ${run.seconds.toFixed(0)} s`;
  const text = `${title}\n\n${table(rows)}\n\n${goalTable(judged)}\n`;
  console.log(text);
  const folder = join(import.meta.dir, "results");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "results.md"), text);
  await writeFile(join(folder, "results.svg"), plot(rows));
  const json = { machine: machine(), date: new Date().toISOString(), quick, rows, goals: judged };
  await writeFile(join(folder, "results.json"), `${JSON.stringify(json, undefined, 2)}\n`);
  console.log(`written to ${folder}`);
  if (values.baseline) {
    await writeFile(BASELINE, `${JSON.stringify(baselineOf(judged), undefined, 2)}\n`);
  }
  if (!values.guard) return 0;
  if (!(await Bun.file(BASELINE).exists())) {
    console.error(`there is no ${BASELINE} yet: --baseline writes it`);
    return 2;
  }
  const worse = regressions(judged, readBaseline(await Bun.file(BASELINE).text()));
  for (const line of worse) console.log(`(fail) ${line}`);
  if (worse.length === 0) console.log("No ratio has become worse than the baseline allows.");
  return worse.length > 0 ? 1 : 0;
}

process.exit(await main());
