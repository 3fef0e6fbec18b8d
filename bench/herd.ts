import { peakMegabytes, processTree } from "./kernel.ts";
import { downloadConcurrently } from "./load.ts";
import { FAR, type Run } from "./run.ts";
import { startShaper } from "./shaped-link.ts";

const CLIENTS = 20;
const WORKLOAD = `cold herd, ${CLIENTS} at once`;

/** A thundering herd: 20 clients request one uncached blob, from a distant registry. */
export async function measureHerd(run: Run): Promise<void> {
  const { registry } = run.upstream;
  const blobs = await run.upstream.blobs();
  const { digest, size } = blobs.herd;
  for (let round = 1; round <= run.rounds; round += 1) {
    await using link = await startShaper(registry.port, FAR);
    run.step(`herd, round ${round} of ${run.rounds}: one direct download`);
    const url = `${link.url}/v2/bench/app/blobs/${digest}`;
    const direct = await downloadConcurrently(url, 0, { clients: 1, size });
    const directMs = direct.each[0]?.last ?? NaN;
    run.add(WORKLOAD, "direct (1 client)", { "last byte s": directMs / 1000 });
    // docker-registry downloads the blob once per client, which takes 40 s each time: once is
    // enough.
    const withDockerRegistry = !run.quick && round === 1;
    for (const name of ["entrepot", "nginx-cache", "docker-registry"] as const) {
      if (name === "docker-registry" && !withDockerRegistry) continue;
      run.step(`herd, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.startEmpty(name, link.url);
      await registry.forget();
      const options = { clients: CLIENTS, size };
      const { each, cpuSeconds } = await downloadConcurrently(
        system.at(`blobs/${digest}`),
        system.pid,
        options,
      );
      const requests = await registry.requests({ method: "GET", path: new RegExp(digest) });
      const firsts = each.map(({ first }) => first);
      const last = Math.max(...each.map((one) => one.last));
      run.add(WORKLOAD, name, {
        "upstream GETs": requests.length,
        "upstream bytes over unique": requests.reduce((sum, { sent }) => sum + sent, 0) / size,
        "first byte ms": Math.min(...firsts),
        "last follower's first byte after, ms": Math.max(...firsts) - Math.min(...firsts),
        "last byte s": last / 1000,
        "last byte over direct": last / directMs,
        "CPU s": cpuSeconds,
        "peak MB": peakMegabytes(processTree(system.pid)),
      });
    }
  }
}
