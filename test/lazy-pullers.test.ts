import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { startShaper } from "../bench/shaped-link.ts";
import { blobsImage } from "../bench/upstream.ts";
import { digestOf } from "../src/oci/digest.ts";
import { makeCertificate } from "./harness/services/certificates.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { layersImage, layersOf } from "./harness/images/images.ts";
import { push } from "./harness/registries/push.ts";
import { isLong, realTest, unpackedTests } from "./harness/real-components.ts";
import { pushSociIndex, SOCI, startLazyNode } from "./harness/images/soci.ts";
import { verifyStore } from "./harness/cache/store-files.ts";
import { tempDir } from "./harness/temp-dir.ts";
import type { TarEntry } from "./harness/images/tar.ts";

/** What the head of a response may have, in bytes. */
const HEAD = 640;
const LIMITED = {
  roundTripMs: 20,
  megabytesPerSecond: 80,
  connectionMegabytesPerSecond: 10,
  slowStart: true,
};

/** How many requests of its background fetch a lazy puller has under way. */
const AT_ONCE = 5;
/** When a recorded puller began to fetch in the background, in milliseconds. */
const BACKGROUND_MS = 4000;

const TRUSTING = { tls: { rejectUnauthorized: false } };

const sociTest = isLong ? await unpackedTests("trixie-soci", SOCI) : undefined;

/** An address of this machine that is not a loopback address. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const own = all.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (own === undefined) throw new Error("this machine has no address but loopback addresses");
  return own;
}

function filesOf(layer: number, count: number): TarEntry[] {
  return Array.from({ length: count }, (_, at) => ({
    path: `layer-${layer}/${at}`,
    content: bytesOf(randomContent(100_000, 1000 * layer + at)),
  }));
}

interface RecordedRange {
  readonly at: number;
  readonly first: number;
  readonly last: number;
}

/** A recording of test/traces: the size of a layer, and the ranges of it that a client asked for. */
async function readTrace(name: string): Promise<{ size: number; ranges: RecordedRange[] }> {
  const text = await readFile(join(import.meta.dir, "traces", `${name}.txt`), "utf8");
  const lines = text.matchAll(/^(\d+) (\d+)-(\d+)$/gm);
  const ranges = Array.from(lines, ([, at, first, last]) => {
    return { at: Number(at), first: Number(first), last: Number(last) };
  });
  return { size: Number(/^# Layer: (\d+) bytes/m.exec(text)?.[1]), ranges };
}

for (const name of isLong ? ["stargz-small-layer", "stargz-large-layer"] : ["stargz-small-layer"]) {
  realTest(
    `the ranges recorded in ${name} are answered while it is filled, and fetched once`,
    async () => {
      const { size, ranges } = await readTrace(name);
      const layer = randomContent(size, 5);
      const bytes = Buffer.from(bytesOf(layer));
      const image = blobsImage([layer]);
      await using registry = await startDockerRegistry();
      await push(image, { url: registry.url, repository: "app", tag: "1" });
      await using link = await startShaper(registry.port, LIMITED);
      await using cache = await startEntrepot({
        config: { upstreams: { "reg.test": localUpstream(link.url) } },
      });
      const get = (path: string, headers: Record<string, string> = {}) =>
        cache.get(`/v2/app/${path}?ns=reg.test`, { headers });
      await (await get("manifests/1")).bytes();

      const read = async ({ first, last }: RecordedRange): Promise<void> => {
        const response = await get(`blobs/${layer.digest}`, { range: `bytes=${first}-${last}` });
        const range = `bytes ${first}-${last}/${size}`;
        expect([response.status, response.headers.get("content-range")]).toEqual([206, range]);
        const isRight = bytes.subarray(first, last + 1).equals(await response.bytes());
        expect([range, isRight]).toEqual([range, true]);
      };
      for (const range of ranges.filter(({ at }) => at < BACKGROUND_MS)) await read(range);
      const background = ranges.filter(({ at }) => at >= BACKGROUND_MS).values();
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          for (const range of background) await read(range);
        }),
      );

      const whole = await get(`blobs/${layer.digest}`);
      expect(digestOf(await whole.bytes())).toBe(layer.digest);
      const { length } = await registry.requests();
      // Most ranges are neighbours of others.
      expect(length).toBeLessThan(ranges.length / 5);
      expect(await link.delivered()).toBeLessThan(size + image.manifest.size + length * HEAD);
      await verifyStore(cache.data);
    },
  );
}

sociTest?.(
  "soci-snapshotter reads files of an uncached image, of which each byte is fetched once",
  async (tree) => {
    const layers = [filesOf(1, 400), filesOf(2, 30), filesOf(3, 200)];
    // As `docker build` compresses: soci-snapshotter reads from one of its blocks to another.
    const image = layersImage(layers, { level: 6 });
    await using registry = await startDockerRegistry();
    await push(image, { url: registry.url, repository: "app", tag: "1" });
    await pushSociIndex(tree, `${registry.address}/app:1`);
    await registry.forget();
    await using dir = await tempDir("certificate");
    // On a loopback address soci-snapshotter asks for layers over HTTP, and for its index over HTTPS.
    const host = ownAddress();
    const { certificateFile, keyFile } = await makeCertificate(dir, [host]);
    await using link = await startShaper(registry.port, LIMITED);
    await using cache = await startEntrepot({
      listen: `${host}:0`,
      config: {
        tls: { certificate: certificateFile, key: keyFile },
        upstreams: { "reg.test": localUpstream(link.url) },
      },
    });
    await using node = await startLazyNode(tree, certificateFile);
    const name = `${cache.address}/reg.test/app:1`;

    await node.pull(name);
    const folder = await node.mount(name);
    for (const { path, content = new Uint8Array() } of layers
      .flat()
      .filter((_, at) => at % 9 === 7))
      expect(digestOf(await readFile(join(folder, path)))).toBe(digestOf(content));

    expect(node.output()).not.toContain('"level":"error"');
    const isLayer = (path: unknown) =>
      layersOf(image).some(({ digest }) => String(path).endsWith(`/${digest}`));
    const ofLayers = cache.logs().filter((entry) => isLayer(entry["path"]));
    expect(new Set(ofLayers.map(({ status }) => status))).toEqual(new Set([206]));
    // What nobody has read yet arrives all the same: a fill belongs to no client.
    for (const { digest } of layersOf(image)) {
      const whole = await cache.get(`/v2/reg.test/app/blobs/${digest}`, TRUSTING);
      expect(digestOf(await whole.bytes())).toBe(digest);
    }
    const requests = await registry.requests();
    const others = requests.filter(({ path }) => !isLayer(path));
    const unique =
      layersOf(image).reduce((sum, { size }) => sum + size, 0) +
      others.reduce((sum, { sent }) => sum + sent, 0);
    expect(await link.delivered()).toBeLessThan(unique + requests.length * HEAD);
    await verifyStore(cache.data);
  },
  120_000,
);
