import { hostsToml, startContainerd } from "../test/harness/containerd.ts";
import { localUpstream, startEntrepot } from "../test/harness/entrepot.ts";
import { peakMegabytes } from "./kernel.ts";
import { FAR, type Run } from "./run.ts";
import { startShaper } from "./upstream.ts";

const IMAGE = "bench.test/bench/many:1";

/**
 * containerd pulls an image of 40 layers: directly from the distant registry, through an empty
 * cache, and through a warm one.
 */
export async function measureImage(run: Run): Promise<void> {
  for (let round = 1; round <= run.rounds; round += 1) {
    await using link = await startShaper(run.upstream.registry.port, FAR);
    run.step(`containerd pulls 40 layers, round ${round} of ${run.rounds}`);
    run.add("40 layers, cold", "direct", { seconds: await pull(link.url) });
    const upstreams = { "bench.test": localUpstream(link.url) };
    await using cache = await startEntrepot({ config: { upstreams } });
    run.add("40 layers, cold", "entrepot", { seconds: await pull(cache.url) });
    run.add("40 layers, warm", "entrepot", {
      seconds: await pull(cache.url),
      "peak MB": peakMegabytes([cache.pid]),
    });
  }
}

/** How many seconds a new containerd takes to pull the image from `host`. */
async function pull(host: string): Promise<number> {
  await using containerd = await startContainerd({
    hosts: { "bench.test": hostsToml({ server: host, hosts: [host] }) },
  });
  const started = performance.now();
  await containerd.cri.pullImage(IMAGE);
  return (performance.now() - started) / 1000;
}
