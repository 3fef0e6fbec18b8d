import { expect } from "bun:test";
import { startShaper } from "../bench/shaped-link.ts";
import type { ContainerdLine } from "../scripts/components/debian.mjs";
import { type Containerd, hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { allBlobs, bigImage, type Image, manyLayersImage } from "./harness/images/images.ts";
import { metric } from "./harness/cache/metrics.ts";
import { push } from "./harness/registries/push.ts";
import { longRealTest } from "./harness/real-components.ts";
import { verifyStore } from "./harness/cache/store-files.ts";

const MIB = 1024 * 1024;
/** What the heads of the responses to one pull may have. */
const HEADS = 64 * 1024;

/** A registry that limits each connection to a fraction of the line. */
const LIMITED = {
  roundTripMs: 20,
  megabytesPerSecond: 80,
  connectionMegabytesPerSecond: 10,
  slowStart: true,
};

/** One chunk of 8 MiB on each of eight connections. */
const IN_CHUNKS = `
[plugins."io.containerd.transfer.v1.local"]
  concurrent_layer_fetch_buffer = ${8 * MIB}
  max_concurrent_downloads = 8
`;

/** What containerd logged about a pull that did not go as it should. */
function problemsOf(containerd: Containerd): string[] {
  return containerd
    .output()
    .split("\n")
    .filter((line) => /level=(error|warning)/.test(line) && /reg\.test|sha256:|fetch/.test(line));
}

function bytesOf(image: Image): number {
  return [image.manifest, ...allBlobs(image)].reduce((sum, { size }) => sum + size, 0);
}

async function setUp(image: Image) {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(await startDockerRegistry());
  await push(image, { url: registry.url, repository: "big", tag: "1" });
  const link = stack.use(await startShaper(registry.port, LIMITED));
  const upstreams = { "reg.test": localUpstream(link.url) };
  const cache = stack.use(await startEntrepot({ config: { upstreams } }));
  const node = (line: ContainerdLine, additions?: string) =>
    startContainerd({
      line,
      hosts: { "reg.test": hostsToml({ server: "https://reg.test", hosts: [cache.url] }) },
      ...(additions === undefined ? {} : { additions }),
    });
  const parts = stack.move();
  return { link, cache, node, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

async function pullAndRun(containerd: Containerd): Promise<void> {
  await containerd.cri.pullImage("reg.test/big:1");
  expect((await containerd.cri.runToEnd("reg.test/big:1")).output).toBe("cold\n");
  expect(problemsOf(containerd)).toEqual([]);
}

for (const line of ["1.6", "1.7", "2.1"] satisfies ContainerdLine[]) {
  longRealTest(
    `containerd ${line} pulls an uncached image, of which each byte is fetched once`,
    async () => {
      const image = await bigImage({ text: "cold", size: 100 * MIB });
      await using at = await setUp(image);
      await using containerd = await at.node(line);
      await pullAndRun(containerd);
      expect(await at.link.delivered()).toBeLessThan(bytesOf(image) + HEADS);
      await verifyStore(at.cache.data);
    },
  );
}

for (const line of ["1.6", "2.1"] satisfies ContainerdLine[]) {
  longRealTest(
    `containerd ${line} pulls an image whose layers were downloaded ahead, each of them once`,
    async () => {
      const image = await manyLayersImage({ text: "cold", layers: 40 });
      await using at = await setUp(image);
      await using containerd = await at.node(line);
      await pullAndRun(containerd);
      const counts = await Promise.all(
        ["", "_asked"].map((asked) =>
          metric(at.cache, `entrepot_prefetched_blobs${asked}_total{upstream="reg.test"}`),
        ),
      );
      const [filled = 0, asked = 0] = counts;
      expect(filled).toBeGreaterThan(20);
      expect(asked).toBe(filled);
      expect(await at.link.delivered()).toBeLessThan(bytesOf(image) + HEADS);
      await verifyStore(at.cache.data);
    },
  );
}

longRealTest(
  "containerd 2.1 pulls an image in chunks, while it is filled and after that",
  async () => {
    const image = await bigImage({ text: "cold", size: 100 * MIB });
    const layer = `/${image.blobs[2]?.digest}`;
    await using at = await setUp(image);
    const requests = () => at.cache.logs().filter((one) => String(one["path"]).endsWith(layer));
    {
      await using containerd = await at.node("2.1", IN_CHUNKS);
      await pullAndRun(containerd);
      // containerd wants a Content-Length for it, which a body has only when it is complete.
      expect(requests().map(({ status }) => status)).toEqual([206]);
    }
    {
      await using containerd = await at.node("2.1", IN_CHUNKS);
      await pullAndRun(containerd);
    }
    expect(requests().length).toBeGreaterThan(100 / 8);
    expect(await at.link.delivered()).toBeLessThan(bytesOf(image) + HEADS);
    await verifyStore(at.cache.data);
  },
);
