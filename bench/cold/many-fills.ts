import { randomContent } from "../../test/harness/images/content.ts";
import { localUpstream, startEntrepot } from "../../test/harness/cache/entrepot.ts";
import { peakMegabytes } from "../kernel.ts";
import { FAR, type Run } from "../run.ts";
import { startShaper } from "../shaped-link.ts";
import { blobsImage, MIB } from "../upstream.ts";

/** Memory while many blobs of a middling size are filled at once. */
export async function measureManyFills(run: Run): Promise<void> {
  const count = run.quick ? 30 : 120;
  const blobs = Array.from({ length: count }, (_, at) => randomContent(6 * MIB, 1000 + at));
  await run.upstream.image("fills", () => blobsImage(blobs));
  const workload = `${count} cold blobs of 6 MiB at once`;
  for (let round = 1; round <= Math.min(2, run.rounds); round += 1) {
    run.step(`${workload}, round ${round}`);
    await using link = await startShaper(run.upstream.registry.port, FAR);
    await using cache = await startEntrepot({
      config: { upstreams: { "bench.test": localUpstream(link.url) } },
    });
    const startedAt = performance.now();
    await Promise.all(
      blobs.map(async ({ digest, size }) => {
        const response = await cache.get(`/v2/bench/fills/blobs/${digest}?ns=bench.test`);
        let received = 0;
        for await (const chunk of response.body ?? []) received += chunk.byteLength;
        if (received !== size) throw new Error(`${digest} ended after ${received} bytes`);
      }),
    );
    run.add(workload, "entrepot", {
      seconds: (performance.now() - startedAt) / 1000,
      "upstream bytes over unique": (await link.delivered()) / (count * 6 * MIB),
      "peak MB": peakMegabytes([cache.pid]),
    });
  }
}
