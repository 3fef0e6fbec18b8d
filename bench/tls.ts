import { makeCertificate } from "../test/harness/services/certificates.ts";
import { run as runProgram } from "../test/harness/processes.ts";
import { largeHits, smallHits, warm } from "./hits.ts";
import { peakMegabytes, processTree } from "./kernel.ts";
import type { Run } from "./run.ts";
import type { Running, SystemName } from "./systems.ts";

const SYSTEMS: readonly SystemName[] = ["nginx-static", "entrepot", "docker-registry"];
const SLOW_READERS = 40;

/** Hits over TLS: sendfile(2) cannot be used, so every byte passes through the program. */
export async function measureTls(run: Run): Promise<void> {
  const certificate = await makeCertificate(run.dir);
  for (let round = 1; round <= run.rounds; round += 1) {
    for (const name of SYSTEMS) {
      run.step(`TLS, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.start(name, run.upstream.registry.url, certificate);
      await warm(run, system);
      const load = { clients: 4, times: run.quick ? 1 : 2 };
      await largeHits(run, system, "TLS: 256 MiB hit, 4 at once", load);
      const path = `blobs/${(await run.upstream.blobs()).small.digest}`;
      await smallHits(run, system, "TLS: 10 KiB hit", { path, seconds: run.quick ? 1 : 4 });
      await slowReaders(run, system);
      run.add("TLS: memory", name, { "peak MB": peakMegabytes(processTree(system.pid)) });
    }
  }
}

/**
 * Tests memory with slow readers: each takes 2 MB/s of a file that the server could send faster.
 */
async function slowReaders(run: Run, { at }: Running): Promise<void> {
  const url = at(`blobs/${(await run.upstream.blobs()).large.digest}`);
  const seconds = run.quick ? "2" : "5";
  const slow = ["curl", "-sS", "-k", "--limit-rate", "2M", "--max-time", seconds];
  const readers = Array.from({ length: SLOW_READERS }, () =>
    runProgram([...slow, "-o", "/dev/null", url]),
  );
  const results = await Promise.all(readers);
  // CURLE_OPERATION_TIMEDOUT (28) is expected: --max-time ends the download.
  const failed = results.find(({ code }) => code !== 28);
  if (failed)
    throw new Error(`a slow reader of ${url} exited with ${failed.code}: ${failed.stderr}`);
}
