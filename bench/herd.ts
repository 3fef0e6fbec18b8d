import { family, peakMegabytes } from "./kernel.ts";
import { downloadAtOnce } from "./load.ts";
import { FAR, type Run } from "./run.ts";
import { shaped } from "./upstream.ts";

const CLIENTS = 20;
const WORKLOAD = `cold herd, ${CLIENTS} at once`;

/** Twenty clients want one blob that is nowhere yet, from a registry that is far away. */
export async function measureHerd(run: Run): Promise<void> {
  const { registry, stock } = run.upstream;
  const { digest, size } = stock.herd;
  for (let round = 1; round <= run.rounds; round += 1) {
    await using line = await shaped(registry.port, FAR);
    run.step(`herd, round ${round} of ${run.rounds}: one direct download`);
    const place = `${line.url}/v2/bench/app/blobs/${digest}`;
    const direct = await downloadAtOnce(place, 0, { clients: 1, size });
    const alone = direct.each[0]?.last ?? NaN;
    run.add(WORKLOAD, "direct (1 client)", { "last byte s": alone / 1000 });
    // Each of its clients downloads for itself: 40 s over this line, and always the same.
    const isPatient = !run.quick && round === 1;
    for (const name of ["entrepot", "nginx-cache", "docker-registry"] as const) {
      if (name === "docker-registry" && !isPatient) continue;
      run.step(`herd, round ${round} of ${run.rounds}: ${name}`);
      await using system = await run.startEmpty(name, line.url);
      await registry.forget();
      const { each, cpu } = await downloadAtOnce(system.at(`blobs/${digest}`), system.pid, {
        clients: CLIENTS,
        size,
      });
      const asked = await registry.requests({ method: "GET", path: new RegExp(digest) });
      const firsts = each.map(({ first }) => first);
      const last = Math.max(...each.map((one) => one.last));
      run.add(WORKLOAD, name, {
        "upstream GETs": asked.length,
        "upstream bytes over unique": asked.reduce((sum, { sent }) => sum + sent, 0) / size,
        "first byte ms": Math.min(...firsts),
        "last follower's first byte after, ms": Math.max(...firsts) - Math.min(...firsts),
        "last byte s": last / 1000,
        "last byte over direct": last / alone,
        "CPU s": cpu,
        "peak MB": peakMegabytes(family(system.pid)),
      });
    }
  }
}
