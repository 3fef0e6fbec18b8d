import { makeCertificate } from "../test/harness/services/certificates.ts";
import { largeHits, smallHits, warm } from "./hits.ts";
import { peakMegabytes, processTree } from "./kernel.ts";
import type { Run } from "./run.ts";
import type { SystemName } from "./systems.ts";

const SYSTEMS: readonly SystemName[] = ["workers-1", "workers-2"];
const ROUNDS = 2;

/**
 * Hits with one and with several threads that accept connections. On two processors, of which the clients take one,
 * only the cost of a thread shows: what several of them gain takes more processors.
 */
export async function measureWorkers(run: Run): Promise<void> {
  const certificate = await makeCertificate(run.dir);
  const { small, manifest } = await run.upstream.blobs();
  const paths = { "10 KiB hit": `blobs/${small.digest}`, manifest: `manifests/${manifest.digest}` };
  const seconds = run.quick ? 1 : 4;
  const rounds = Math.min(ROUNDS, run.rounds);
  for (let round = 1; round <= rounds; round += 1) {
    for (const tls of [undefined, certificate]) {
      const kind = tls ? "workers, TLS" : "workers, HTTP";
      for (const name of SYSTEMS) {
        run.step(`${kind}, round ${round} of ${rounds}: ${name}`);
        await using system = await run.start(name, run.upstream.registry.url, tls);
        await warm(run, system);
        const load = { clients: 4, times: 1 };
        await largeHits(run, system, `${kind}: 256 MiB hit, 4 at once`, load);
        for (const [what, path] of Object.entries(paths)) {
          await smallHits(run, system, `${kind}: ${what}`, { path, seconds });
        }
        run.add(`${kind}: memory`, name, { "peak MB": peakMegabytes(processTree(system.pid)) });
      }
    }
  }
}
