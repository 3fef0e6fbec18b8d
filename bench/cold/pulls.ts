import type { Digest } from "../../src/oci/digest.ts";
import {
  type Containerd,
  hostsToml,
  startContainerd,
} from "../../test/harness/runtimes/containerd.ts";
import { localUpstream, startEntrepot } from "../../test/harness/cache/entrepot.ts";
import {
  allBlobs,
  type Image,
  layersImage,
  manyLayersImage,
} from "../../test/harness/images/images.ts";
import { peakMegabytes } from "../kernel.ts";
import type { LinkShape } from "../link.ts";
import { FAR, limited, type Run } from "../run.ts";
import { startShaper } from "../shaped-link.ts";
import { compressibleImage, incompressibleImage, incompressibleLayer } from "./images.ts";

interface Pull {
  /** Names the measurements. */
  readonly workload: string;
  /** The image's name below `bench/`. */
  readonly image: string;
  readonly make: () => Image | Promise<Image>;
  readonly shape: LinkShape;
  readonly rounds: number;
}

/** Forty layers of a few bytes each: a pull costs round trips and no bandwidth. */
export function measureManyLayers(run: Run): Promise<void> {
  return measurePull(run, {
    workload: "40 layers, cold",
    image: "many",
    make: () => manyLayersImage({ text: "bench" }),
    shape: FAR,
    rounds: run.rounds,
  });
}

/** An image of the usual kind from a registry that limits each connection, as ECR does. */
export function measureSevenLayers(run: Run): Promise<void> {
  const sizes = run.quick ? [8, 15, 40, 5, 3, 1, 1] : [30, 60, 160, 20, 10, 4, 2];
  return measurePull(run, {
    workload: `7 layers of ${sum(sizes)} MiB, 25 MB/s a connection`,
    image: "seven",
    make: () => incompressibleImage(sizes, 1),
    shape: limited(25),
    rounds: Math.min(2, run.rounds),
  });
}

/** One large layer from a registry that limits each connection: no other layer is fetched beside it. */
export async function measureOneLayer(run: Run): Promise<void> {
  const sizes = [run.quick ? 75 : 300];
  for (const rate of [25, 10]) {
    await measurePull(run, {
      workload: `one layer of ${sum(sizes)} MiB, ${rate} MB/s a connection`,
      image: "one",
      make: () => incompressibleImage(sizes, 2),
      shape: limited(rate),
      rounds: Math.min(2, run.rounds),
    });
  }
}

/**
 * Layers that take about as long to unpack as to fetch, over a line that one connection fills. A node
 * unpacks the lower layers while it fetches the upper ones, so a cache that fetches all of them at
 * once makes the pull slower than a direct one.
 */
export function measureGzippedLayers(run: Run): Promise<void> {
  const sizes = run.quick ? [8, 12, 10, 5, 2] : [30, 48, 40, 20, 10];
  return measurePull(run, {
    workload: `5 gzipped layers of ${sum(sizes)} MiB on a full line`,
    image: "gzipped",
    make: () => compressibleImage(sizes, 3),
    shape: { ...FAR, megabytesPerSecond: 25 },
    rounds: run.rounds,
  });
}

/** containerd pulls an image directly from the distant registry, and then through an empty cache. */
async function measurePull(
  run: Run,
  { workload, image: name, make, shape, rounds }: Pull,
): Promise<void> {
  const image = await run.upstream.image(name, make);
  const reference = `bench.test/bench/${name}:1`;
  for (let round = 1; round <= rounds; round += 1) {
    await using link = await startShaper(run.upstream.registry.port, shape);
    run.step(`${workload}, round ${round} of ${rounds}`);
    const direct = await pull(link.url, reference);
    const before = await link.delivered();
    await using cache = await startEntrepot({
      config: { upstreams: { "bench.test": localUpstream(link.url) } },
    });
    const cold = await pull(cache.url, reference);
    run.add(workload, "direct", { seconds: direct });
    run.add(workload, "entrepot", {
      seconds: cold,
      "seconds over direct": cold / direct,
      "upstream bytes over unique": ((await link.delivered()) - before) / bytesOf(image),
      "seconds, warm": await pull(cache.url, reference),
      "peak MB": peakMegabytes([cache.pid]),
    });
  }
}

/**
 * A node has the first version of an image and pulls the second, which has the same four lower layers,
 * through a cache that has neither: how much more is fetched than the node needs.
 */
export async function measureSharedBase(run: Run): Promise<void> {
  const scale = run.quick ? 0.25 : 1;
  const layers = (seed: number, sizes: readonly number[]) =>
    sizes.map((size, at) => incompressibleLayer(size * scale, 100 * seed + at));
  const base = layers(4, [20, 60, 8, 4]);
  const first = await run.upstream.image("versions-1", () =>
    layersImage([...base, ...layers(5, [2])], { level: 0 }),
  );
  const second = await run.upstream.image("versions-2", () =>
    layersImage([...base, ...layers(6, [4, 40, 8])], { level: 0 }),
  );
  const present = new Set(first.blobs.map(({ digest }) => digest));
  const needed = bytesOf(second, (digest) => !present.has(digest));
  run.step("a second version with a shared base");
  await using link = await startShaper(run.upstream.registry.port, limited(25));
  await using containerd = await node(link.url);
  await containerd.cri.pullImage("bench.test/bench/versions-1:1");
  const before = await link.delivered();
  {
    await using cache = await startEntrepot({
      config: { upstreams: { "bench.test": localUpstream(link.url) } },
    });
    await containerd.writeHosts("bench.test", hosts(cache.url));
    await containerd.cri.pullImage("bench.test/bench/versions-2:1");
    run.add("second version with a shared base", "entrepot", {
      "peak MB": peakMegabytes([cache.pid]),
    });
    // Whatever it fetches beside the pull has begun when it is asked to stop.
  }
  run.add("second version with a shared base", "entrepot", {
    "upstream bytes over needed": ((await link.delivered()) - before) / needed,
  });
}

/** How many seconds a new containerd takes to pull the image from `host`. */
async function pull(host: string, image: string): Promise<number> {
  await using containerd = await node(host);
  const started = performance.now();
  await containerd.cri.pullImage(image);
  return (performance.now() - started) / 1000;
}

function node(host: string): Promise<Containerd> {
  return startContainerd({ hosts: { "bench.test": hosts(host) } });
}

function hosts(host: string): string {
  return hostsToml({ server: host, hosts: [host] });
}

/** The size of an image's manifest and of its blobs, or of those that are wanted. */
function bytesOf(image: Image, isWanted: (digest: Digest) => boolean = () => true): number {
  const blobs = new Map(allBlobs(image).map((blob) => [blob.digest, blob]));
  return sum(
    [image.manifest, ...blobs.values()].map(({ digest, size }) => (isWanted(digest) ? size : 0)),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
