import { expect } from "bun:test";
import { startShaper } from "../bench/shaped-link.ts";
import { digestOf } from "../src/oci/digest.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { type DockerRegistry, startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { filesImage } from "./harness/images/images.ts";
import { PODMAN_5, startPodman } from "./harness/runtimes/podman.ts";
import { push } from "./harness/registries/push.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import { type Exchange, RecordedExchanges } from "./harness/registries/recorded-exchanges.ts";
import { verifyStore } from "./harness/cache/store-files.ts";
import type { TarEntry } from "./harness/images/tar.ts";

const podmanTest = await unpackedTests("trixie-podman", PODMAN_5);

const FILE_SIZE = 20_000;
const isBlob = /\/blobs\//;
/** What the head of a response may have, in bytes. */
const HEAD = 640;

interface Version {
  readonly tag: string;
  readonly files: readonly TarEntry[];
}

/** Two versions of an image of 200 incompressible files, of which every 20th differs. */
function twoVersions(fileSize: number): Version[] {
  return [1, 2].map((version) => {
    const files = Array.from({ length: 200 }, (_, at) => ({
      path: `file-${at}`,
      content: bytesOf(randomContent(fileSize, at % 20 === 7 ? 1000 * version + at : at + 1)),
    }));
    return { tag: `${version}`, files };
  });
}

/** Pushes each version as `app`, with an index of the files in each layer. */
async function publish(
  tree: string,
  registry: DockerRegistry,
  versions: readonly Version[],
): Promise<void> {
  await using publisher = await startPodman(tree);
  for (const { tag, files } of versions) {
    await push(filesImage(files), { url: registry.url, repository: "plain", tag });
    const plain = `${registry.address}/plain:${tag}`;
    await publisher.run("pull", "--tls-verify=false", plain);
    const format = "--compression-format=zstd:chunked";
    const target = `${registry.address}/app:${tag}`;
    await publisher.run("push", "--tls-verify=false", format, plain, target);
  }
  await registry.forget();
}

function digestsOf(files: readonly TarEntry[]): Record<string, string> {
  return Object.fromEntries(
    files.map(({ path, content = new Uint8Array() }) => [path, digestOf(content)]),
  );
}

podmanTest("podman 5 pulls zstd:chunked images in part, cold and warm", async (tree) => {
  await using registry = await startDockerRegistry();
  const versions = twoVersions(FILE_SIZE);
  await publish(tree, registry, versions);
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(registry.url) } },
  });
  await using wire = new RecordedExchanges(cache.url);
  /** Pulls both versions into an empty storage. Returns the requests for each version's layer. */
  const pullBoth = async (): Promise<Exchange[][]> => {
    await using podman = await startPodman(tree, { "reg.test": `${wire.address}/reg.test` });
    const requests: Exchange[][] = [];
    for (const { tag, files } of versions) {
      wire.exchanges.length = 0;
      await podman.run("pull", `reg.test/app:${tag}`);
      expect(await podman.files(`reg.test/app:${tag}`)).toEqual(digestsOf(files));
      requests.push(wire.exchanges.filter(({ path, ranges }) => isBlob.test(path) && ranges > 0));
    }
    return requests;
  };

  await pullBoth();
  const fetched = await registry.requests({ method: "GET", path: isBlob });
  // Config and layer of both versions, each of them once and whole.
  expect(fetched.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  await verifyStore(cache.data);

  const [first = [], second = []] = await pullBoth();
  expect(await registry.requests({ method: "GET", path: isBlob })).toEqual(fetched);
  const several = [...first, ...second].filter(({ ranges }) => ranges > 1);
  // The table of contents of either version, and what changed between them.
  expect(several.length).toBeGreaterThanOrEqual(3);
  for (const { status, contentType } of several) {
    expect(`${status} ${contentType}`).toStartWith("206 multipart/byteranges; boundary=");
  }
  const bytes = (exchanges: readonly Exchange[]) =>
    exchanges.reduce((sum, exchange) => sum + exchange.bytes, 0);
  expect(bytes(first)).toBeGreaterThan(200 * FILE_SIZE);
  expect(bytes(second)).toBeGreaterThan(10 * FILE_SIZE);
  expect(bytes(second)).toBeLessThan(20 * FILE_SIZE);
});

if (isLong)
  podmanTest(
    "podman 5 pulls large images in part while they are filled, and each byte is fetched once",
    async (tree) => {
      await using registry = await startDockerRegistry();
      const versions = twoVersions(10 * FILE_SIZE);
      await publish(tree, registry, versions);
      await using link = await startShaper(registry.port, {
        roundTripMs: 20,
        megabytesPerSecond: 80,
        connectionMegabytesPerSecond: 10,
        slowStart: true,
      });
      await using cache = await startEntrepot({
        config: { upstreams: { "reg.test": localUpstream(link.url) } },
      });
      await using podman = await startPodman(tree, { "reg.test": `${cache.address}/reg.test` });
      const unique = new Map<string, number>();
      for (const { tag, files } of versions) {
        await podman.run("pull", `reg.test/app:${tag}`);
        expect(await podman.files(`reg.test/app:${tag}`)).toEqual(digestsOf(files));
      }
      // What was not asked for arrives all the same: a fill belongs to no client.
      for (const { path } of await registry.requests({ method: "GET", path: isBlob })) {
        const whole = await cache.get(path.replace("/v2/", "/v2/reg.test/"));
        unique.set(path, (await whole.bytes()).byteLength);
      }
      const requests = await registry.requests();
      const manifests = requests.filter(
        ({ path, method }) => method === "GET" && !isBlob.test(path),
      );
      const bytes =
        [...unique.values()].reduce((sum, size) => sum + size, 0) +
        manifests.reduce((sum, { sent }) => sum + sent, 0);
      expect(await link.delivered()).toBeLessThan(bytes + requests.length * HEAD);
      await verifyStore(cache.data);
    },
    120_000,
  );
