import { makeCertificate } from "../test/harness/certificates.ts";
import { run as runProgram } from "../test/harness/processes.ts";
import { largeHits, smallHits, warm } from "./hits.ts";
import { family, peakMegabytes } from "./kernel.ts";
import type { Run } from "./run.ts";
import type { Running, SystemName } from "./systems.ts";

const SYSTEMS: readonly SystemName[] = ["nginx-static", "entrepot", "docker-registry"];
const SLOW_READERS = 40;

/** Hits over TLS: the kernel cannot send a file then, and every byte goes through the program. */
export async function measureTls(run: Run): Promise<void> {
  const certificate = await makeCertificate(run.dir);
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const name of SYSTEMS) {
      run.step(`TLS, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.start(name, run.upstream.registry.url, certificate);
      await warm(run, system);
      const plan = { clients: 4, times: run.quick ? 1 : 2 };
      await largeHits(run, system, "TLS: 256 MiB hit, 4 at once", plan);
      const path = `blobs/${run.upstream.stock.small.digest}`;
      await smallHits(run, system, "TLS: 10 KiB hit", { path, seconds: run.quick ? 1 : 4 });
      await slowReaders(run, system);
      run.add("TLS: memory", name, { "peak MB": peakMegabytes(family(system.pid)) });
    }
  }
}

/** They take 2 MB/s each of a file that the server could send at once. */
async function slowReaders(run: Run, { at }: Running): Promise<void> {
  const url = at(`blobs/${run.upstream.stock.large.digest}`);
  const seconds = run.quick ? "2" : "5";
  const slow = ["curl", "-sS", "-k", "--limit-rate", "2M", "--max-time", seconds];
  const readers = Array.from({ length: SLOW_READERS }, () =>
    runProgram([...slow, "-o", "/dev/null", url]),
  );
  const ended = await Promise.all(readers);
  // 28: the time was over while something was still coming.
  const other = ended.find(({ code }) => code !== 28);
  if (other) throw new Error(`a slow reader of ${url} ended with ${other.code}: ${other.stderr}`);
}
