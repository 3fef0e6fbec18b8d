// Simulates clusters of 1 to 1,000 replicas: `bun bench/scale/simulate.ts [--write]`. With --write, its
// tables replace those of docs/explanation/scale.md. It takes about a minute.
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { simulateDays } from "./days.ts";
import { FLEET } from "./fleet.ts";
import { billTable, demandText, loadTable, rolloutTable, type Simulated } from "./report.ts";
import { type Rollout, simulateRollout } from "./rollout.ts";

const PAGE = fileURLToPath(new URL("../../docs/explanation/scale.md", import.meta.url));
const [MB, GB] = [1e6, 1e9];

/** Clusters of a fleet: each has its part of the nodes, and every new version is deployed to all. */
function simulate(replicas: number, clusters = 1): Simulated {
  const images = { ...FLEET.images, meanFanOut: FLEET.images.meanFanOut / clusters };
  const fleet = {
    ...FLEET,
    nodes: FLEET.nodes / clusters,
    replicas: replicas / clusters,
    imagesPerSecond: FLEET.imagesPerSecond / clusters,
    images,
    // A single machine has nobody to share a store with.
    hasStore: replicas > 1,
  };
  const count = replicas.toLocaleString("en");
  const title = clusters === 1 ? count : `${count} in ${clusters} clusters`;
  process.stderr.write(`simulating ${title}\n`);
  return { title, clusters, fleet, traffic: simulateDays(fleet) };
}

const ROLLOUT = {
  layers: [300 * MB, 120 * MB, 50 * MB, 20 * MB, 10 * MB],
  networkBytes: FLEET.machine.networkBytes,
  upstreamBytes: 1.25 * GB,
};

function rollouts(): string {
  const lines = [1000, 100_000].flatMap((nodes) =>
    [3, 10, 30, 100, 250, 1000].map((replicas) => {
      const rollout = (from: Rollout["from"]): Rollout => ({ ...ROLLOUT, nodes, replicas, from });
      return {
        rollout: rollout("replica"),
        byReplica: simulateRollout(rollout("replica")),
        byStore: simulateRollout(rollout("store")),
        independent: simulateRollout(rollout("upstream")),
      };
    }),
  );
  return rolloutTable(lines);
}

/** Replaces what stands between the marks of each part. */
export function inserted(page: string, parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [begin, end] = [`<!-- ${name} -->\n`, `\n<!-- end of ${name} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`${PAGE} has no place for ${name}`);
    return `${text.slice(0, from + begin.length)}\n${part}\n${text.slice(to)}`;
  }, page);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { write: { type: "boolean", default: false } } });
  const simulated = [simulate(1), simulate(10), simulate(100), simulate(1000, 4), simulate(1000)];
  // The first shares nothing, so that nothing of it is stored for others.
  const [, shared] = simulated;
  const parts = {
    demand: shared ? demandText(shared) : "",
    load: loadTable(simulated),
    bill: billTable(simulated),
    rollouts: rollouts(),
  };
  for (const [name, part] of Object.entries(parts)) console.log(`## ${name}\n\n${part}\n`);
  if (values.write) await writeFile(PAGE, inserted(await readFile(PAGE, "utf8"), parts));
}

if (import.meta.main) await main();
