import { smallHits, warm } from "./hits.ts";
import type { Run } from "./run.ts";

const PAGES = 50;

/** What open pages of operators cost the hits of nodes: each reads the events of the cache. */
export async function measurePages(run: Run): Promise<void> {
  const { small } = await run.upstream.blobs();
  const path = `blobs/${small.digest}`;
  const seconds = run.quick ? 2 : 5;
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`hits with ${PAGES} open pages, round ${round} of ${run.rounds}`);
    await using system = await run.start("entrepot", run.upstream.registry.url);
    await warm(run, system);
    // Both in one process: two differ by more than the pages cost.
    for (const pages of [0, PAGES, 0, PAGES]) {
      const read = await openPages(new URL("/api/v1/events", system.metrics).href, pages);
      const what = pages === 0 ? "no page" : `${pages} pages`;
      await smallHits(run, system, "10 KiB hit, open pages", { path, seconds }, what);
      const bytes = await read();
      if (pages > 0) run.add("events of open pages", what, { "KB/s": bytes / seconds / 1000 });
    }
  }
}

/** Resolves once all are open, with what closes them and tells how many bytes all have read. */
async function openPages(url: string, count: number): Promise<() => Promise<number>> {
  const closing = new AbortController();
  const opened = Array.from({ length: count }, () => fetch(url, { signal: closing.signal }));
  let bytes = 0;
  const reading = (await Promise.all(opened)).map(async ({ body }) => {
    for await (const chunk of body ?? []) bytes += chunk.byteLength;
  });
  return async () => {
    closing.abort();
    await Promise.allSettled(reading);
    return bytes;
  };
}
