import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { localUpstream, startEntrepot } from "../test/harness/entrepot.ts";
import { parseRepositoryName, parseUpstreamName } from "../src/oci/names.ts";
import { digestHex, digestOf } from "../src/oci/digest.ts";
import { openIndex } from "../src/store/open-index.ts";
import type { Run } from "./run.ts";
import { peakMegabytes } from "./kernel.ts";

/** From the start of the program to the first content that it gives, with a full store. */
export async function measureStartup(run: Run): Promise<void> {
  const count = run.quick ? 10_000 : 100_000;
  const workload = `start with ${count.toLocaleString("en")} blobs`;
  run.step(`making a store of ${count} blobs`);
  const data = run.dir.file("many");
  const path = await fillStore(data, count);
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`start, round ${round} of ${run.rounds}`);
    const started = performance.now();
    const upstreams = { "bench.test": localUpstream(run.upstream.registry.url) };
    await using cache = await startEntrepot({ data, config: { upstreams } });
    const response = await cache.get(`/v2/bench/many/blobs/${path}?ns=bench.test`);
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`the first answer was ${response.status}`);
    run.add(workload, "entrepot", {
      "first answer ms": performance.now() - started,
      "peak MB": peakMegabytes([cache.pid]),
    });
  }
}

/** Writes files and facts as the store has them. Returns the last digest. */
async function fillStore(data: string, count: number): Promise<string> {
  const upstream = parseUpstreamName("bench.test");
  const repository = parseRepositoryName("bench/many");
  if (!upstream || !repository) throw new Error("the bench's own names do not parse");
  const folder = join(data, "blobs/sha256");
  for (let first = 0; first < 256; first += 1) {
    const name = join(folder, first.toString(16).padStart(2, "0"), "x");
    await mkdir(dirname(name), { recursive: true, mode: 0o700 });
  }
  const index = await openIndex(join(data, "index.db"));
  const encoder = new TextEncoder();
  let last = "";
  for (let first = 0; first < count; first += 1000) {
    const blobs = Array.from({ length: Math.min(1000, count - first) }, (_, at) => {
      const bytes = encoder.encode(`blob ${first + at}`);
      return { bytes, digest: digestOf(bytes), size: bytes.byteLength };
    });
    for (const { bytes, digest, size } of blobs) {
      const hex = digestHex(digest);
      await Bun.write(join(folder, hex.slice(0, 2), hex), bytes);
      await index.contents.put({ digest, size }, Date.now());
      last = digest;
    }
    await index.links.add({ upstream, repository }, blobs);
  }
  await index.close();
  return last;
}
