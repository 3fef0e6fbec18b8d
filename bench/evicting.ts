import { probe, type Waits } from "./busy.ts";
import { family, peakMegabytes } from "./kernel.ts";
import { download } from "./load.ts";
import { makeStore } from "./many-blobs.ts";
import { median } from "./results.ts";
import { FAR, type Run } from "./run.ts";
import { MIB, shaped } from "./upstream.ts";

/** Of each content that has to go, in bytes: smaller than most layers, so that it is much work for what it frees. */
const SIZE = 256 * 1024;
/** In seconds, of each measurement while something goes. */
const WINDOW = 1;

/** Small hits while a large blob comes in and thousands of contents go for it, against the same hits before. */
export async function measureEvicting(run: Run): Promise<void> {
  const { registry, stock } = run.upstream;
  const { huge, small } = stock;
  const maxSize = huge.size + 64 * MIB;
  const count = Math.floor(maxSize / SIZE);
  for (let round = 1; round <= Math.min(2, run.rounds); round += 1) {
    run.step(`making a full store of ${count} blobs of ${SIZE / 1024} KiB`);
    const data = run.dir.file(`evicting-${round}`);
    await makeStore(data, count, SIZE);
    run.step(`hits during a fill and an eviction of ${Math.round(huge.size / MIB)} MiB each`);
    await using line = await shaped(registry.port, FAR);
    await using cache = await run.startBound(line.url, { data, maxSize });
    const url = cache.at(`blobs/${small.digest}`);
    await download(url, cache.pid, { clients: 1 });
    const idle = await probe(url, 5);
    const filling = download(cache.at(`blobs/${huge.digest}`), cache.pid, { clients: 1 });
    const before = await removed(cache.metrics);
    const evicting: Waits[] = [];
    const over = new AbortController();
    const fill = filling.finally(() => over.abort());
    let [gone, since] = [before, before];
    while (!over.signal.aborted) {
      const waited = await probe(url, WINDOW);
      gone = await removed(cache.metrics);
      if (gone > since) evicting.push(waited);
      since = gone;
    }
    await fill;
    const p99 = median(evicting.map((waits) => waits.p99));
    run.add("hits during a fill and an eviction", "entrepot", {
      "p50 ms, idle": idle.p50,
      "p99 ms, idle": idle.p99,
      "p50 ms, evicting": median(evicting.map((waits) => waits.p50)),
      "p99 ms, evicting": p99,
      "p99 evicting over idle": p99 / idle.p99,
      "contents evicted": gone - before,
      "seconds of eviction": evicting.length * WINDOW,
      "peak MB": peakMegabytes(family(cache.pid)),
    });
  }
}

async function removed(metrics: string | undefined): Promise<number> {
  const text = await (await fetch(metrics ?? "")).text();
  return Number(/entrepot_removed_total\{why="bound"\} (\d+)/.exec(text)?.[1] ?? 0);
}
