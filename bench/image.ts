import { hostsToml, startContainerd } from "../test/harness/containerd.ts";
import { localUpstream, startEntrepot } from "../test/harness/entrepot.ts";
import { peakMegabytes } from "./kernel.ts";
import { FAR, type Run } from "./run.ts";
import { shaped } from "./upstream.ts";

const IMAGE = "bench.test/bench/many:1";

/** An image of 40 layers by a real containerd: from the far registry, and through an empty and a full cache. */
export async function measureImage(run: Run): Promise<void> {
  for (let round = 1; round <= run.rounds; round += 1) {
    await using line = await shaped(run.upstream.registry.port, FAR);
    run.step(`40 layers by containerd, round ${round} of ${run.rounds}`);
    run.add("40 layers, cold", "direct", { seconds: await pull(line.url) });
    const upstreams = { "bench.test": localUpstream(line.url) };
    await using cache = await startEntrepot({ config: { upstreams } });
    run.add("40 layers, cold", "entrepot", { seconds: await pull(cache.url) });
    run.add("40 layers, warm", "entrepot", {
      seconds: await pull(cache.url),
      "peak MB": peakMegabytes([cache.pid]),
    });
  }
}

/** Seconds that a containerd which has nothing needs for the image. */
async function pull(host: string): Promise<number> {
  await using containerd = await startContainerd({
    hosts: { "bench.test": hostsToml({ server: host, hosts: [host] }) },
  });
  const started = performance.now();
  await containerd.cri.pullImage(IMAGE);
  return (performance.now() - started) / 1000;
}
