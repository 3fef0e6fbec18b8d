import { family, peakMegabytes } from "./kernel.ts";
import { download } from "./load.ts";
import { probe } from "./probe.ts";
import { FAR, type Run } from "./run.ts";
import { shaped } from "./upstream.ts";

/** Small hits while a large blob comes in, against the same hits before. */
export async function measureBusy(run: Run): Promise<void> {
  const { registry, stock } = run.upstream;
  const { huge, small } = stock;
  const seconds = Math.max(2, Math.floor((huge.size / (FAR.rate * 1e6)) * 0.8));
  for (let round = 1; round <= Math.min(2, run.rounds); round += 1) {
    run.step(`hits during a fill of ${Math.round(huge.size / 2 ** 20)} MiB, round ${round}`);
    await using line = await shaped(registry.port, FAR);
    await using cache = await run.startEmpty("entrepot", line.url);
    const url = cache.at(`blobs/${small.digest}`);
    await download(url, cache.pid, { clients: 1 });
    const idle = await probe(url, seconds);
    const filling = download(cache.at(`blobs/${huge.digest}`), cache.pid, { clients: 1 });
    const busy = await probe(url, seconds);
    await filling;
    run.add("hits during a fill", "entrepot", {
      "p99 ms, idle": idle.p99,
      "p99 ms, filling": busy.p99,
      "p99 filling over idle": busy.p99 / idle.p99,
      "peak MB": peakMegabytes(family(cache.pid)),
    });
  }
}
