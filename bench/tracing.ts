import { smallHits, warm } from "./hits.ts";
import type { Run } from "./run.ts";
import type { SystemName } from "./systems.ts";

const SYSTEMS: readonly SystemName[] = ["entrepot", "traced"];

/** What it costs a hit that one of a hundred is traced. The order changes, as one after the other warms the machine. */
export async function measureTracing(run: Run): Promise<void> {
  const { small, manifest } = await run.upstream.blobs();
  const paths = { "10 KiB hit": `blobs/${small.digest}`, manifest: `manifests/${manifest.digest}` };
  const seconds = run.quick ? 2 : 5;
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const name of round % 2 === 1 ? SYSTEMS : SYSTEMS.toReversed()) {
      run.step(`tracing, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.start(name, run.upstream.registry.url);
      await warm(run, system);
      for (const [what, path] of Object.entries(paths)) {
        await smallHits(run, system, `tracing at 1 %: ${what}`, { path, seconds });
      }
    }
  }
}
