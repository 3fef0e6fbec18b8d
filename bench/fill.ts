import { peakMegabytes, processTree } from "./kernel.ts";
import { download } from "./load.ts";
import { probe } from "./probe.ts";
import { FAR, type Run } from "./run.ts";
import { startShaper } from "./shaped-link.ts";

/** Latency of small hits during the fill of a large blob, compared with the same hits before it. */
export async function measureFill(run: Run): Promise<void> {
  const { registry } = run.upstream;
  const blobs = await run.upstream.blobs();
  const { huge, small } = blobs;
  // The fill must outlast the measurement.
  const seconds = Math.max(2, Math.floor((huge.size / (FAR.megabytesPerSecond * 1e6)) * 0.8));
  for (let round = 1; round <= Math.min(2, run.rounds); round += 1) {
    run.step(`hits during a fill of ${Math.round(huge.size / 2 ** 20)} MiB, round ${round}`);
    await using link = await startShaper(registry.port, FAR);
    await using cache = await run.startEmpty("entrepot", link.url);
    const url = cache.at(`blobs/${small.digest}`);
    await download(url, cache.pid, { clients: 1 });
    const idle = await probe(url, seconds);
    // What the same bytes cost hits that the cache has nothing to do with: the processors are shared.
    const direct = `${link.url}/v2/bench/app/blobs/${huge.digest}`;
    const passing = download(direct, cache.pid, { clients: 1 });
    const beside = await probe(url, seconds);
    await passing;
    const fill = download(cache.at(`blobs/${huge.digest}`), cache.pid, { clients: 1 });
    const filling = await probe(url, seconds);
    await fill;
    run.add("hits during a fill", "entrepot", {
      "p99 ms, idle": idle.p99,
      "p99 ms, beside a direct download": beside.p99,
      "p99 ms, filling": filling.p99,
      "p50 filling over idle": filling.p50 / idle.p50,
      "p99 filling over idle": filling.p99 / idle.p99,
      "peak MB": peakMegabytes(processTree(cache.pid)),
    });
  }
}
