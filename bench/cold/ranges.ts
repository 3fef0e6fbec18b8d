import { randomContent } from "../../test/harness/images/content.ts";
import { localUpstream, startEntrepot } from "../../test/harness/cache/entrepot.ts";
import { mustRun } from "../../test/harness/processes.ts";
import { peakMegabytes } from "../kernel.ts";
import { download } from "../load.ts";
import { limited, type Run } from "../run.ts";
import { startShaper } from "../shaped-link.ts";
import { blobsImage, MIB } from "../upstream.ts";

const CLIENTS = 8;
/** eStargz ends with a footer of 51 bytes, which a lazy puller reads first. */
const FOOTER = 51;

interface Range {
  readonly first: number;
  readonly last: number;
}

/** Eight ranges of an uncached blob at once, as containerd 2.1 and lazy pullers ask for them. */
export async function measureRanges(run: Run): Promise<void> {
  const { registry } = run.upstream;
  const blob = randomContent(64 * MIB, 23);
  await run.upstream.image("ranges", () => blobsImage([blob]));
  const path = `/v2/bench/ranges/blobs/${blob.digest}`;
  const share = blob.size / CLIENTS;
  const ranges = Array.from({ length: CLIENTS }, (_, at) => {
    return { first: at * share, last: (at + 1) * share - 1 };
  });
  const workload = `${CLIENTS} ranges of 64 MiB, cold, 10 MB/s a connection`;
  for (let round = 1; round <= run.rounds; round += 1) {
    run.step(`${workload}, round ${round} of ${run.rounds}`);
    await using link = await startShaper(registry.port, limited(10));
    const direct = await readAtOnce(`${link.url}${path}`, ranges);
    const before = await link.delivered();
    await using cache = await startEntrepot({
      config: { upstreams: { "bench.test": localUpstream(link.url) } },
    });
    const url = `${cache.url}${path}?ns=bench.test`;
    const cold = await readAtOnce(url, ranges);
    // The last of it has arrived when the whole has.
    await download(url, cache.pid, { clients: 1 });
    run.add(workload, "direct", { seconds: direct });
    run.add(workload, "entrepot", {
      seconds: cold,
      "seconds over direct": cold / direct,
      "upstream bytes over unique": ((await link.delivered()) - before) / blob.size,
      "peak MB": peakMegabytes([cache.pid]),
    });
  }
}

/** The end of an uncached large blob. */
export async function measureFooter(run: Run): Promise<void> {
  const { registry } = run.upstream;
  const blob = randomContent(300 * MIB, 29);
  await run.upstream.image("footer", () => blobsImage([blob]));
  const path = `/v2/bench/footer/blobs/${blob.digest}`;
  const footer = [{ first: blob.size - FOOTER, last: blob.size - 1 }];
  const workload = "footer of an uncached 300 MiB blob";
  // A single request takes as long as a few round trips, so there is time for several.
  const rounds = 2 * run.rounds + 1;
  run.step(`${workload}, ${rounds} rounds`);
  for (let round = 1; round <= rounds; round += 1) {
    await using link = await startShaper(registry.port, limited(25));
    const direct = await readAtOnce(`${link.url}${path}`, footer);
    await using cache = await startEntrepot({
      config: { upstreams: { "bench.test": localUpstream(link.url) } },
    });
    const cold = await readAtOnce(`${cache.url}${path}?ns=bench.test`, footer);
    run.add(workload, "direct", { ms: direct * 1000 });
    run.add(workload, "entrepot", {
      ms: cold * 1000,
      "ms over direct": cold / direct,
      "peak MB": peakMegabytes([cache.pid]),
    });
    // A graceful shutdown would wait for the rest of the blob.
    await cache.stop("SIGKILL");
  }
}

/** How many seconds clients take that each read one range, all at once. */
async function readAtOnce(url: string, ranges: readonly Range[]): Promise<number> {
  const format = "%{http_code} %{size_download} %{time_total}";
  const seconds = await Promise.all(
    ranges.map(async ({ first, last }) => {
      const range = ["-r", `${first}-${last}`, "-o", "/dev/null", "-w", format];
      const output = await mustRun(["curl", "-sS", ...range, url]);
      const [status, size, time] = output.split(" ").map(Number);
      if (status !== 206 || size !== last - first + 1) {
        throw new Error(`${url}, bytes ${first}-${last}: status ${status}, ${size} bytes`);
      }
      return time ?? NaN;
    }),
  );
  return Math.max(...seconds);
}
