import { expect, test } from "bun:test";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import { command } from "./harness/cache/commands.ts";
import {
  bytesOf,
  type Content,
  contentOf,
  descriptor,
  randomContent,
} from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { isLong } from "./harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { rootTest, SmallDisk } from "./harness/faults/small-disk.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const DISK = 60 * MIB;
const disk = new SmallDisk(DISK);

/** An image of layers without content, the lowest first, at an upstream. */
function imageAt(upstream: ScriptedUpstream, sizes: readonly number[]): readonly Content[] {
  const layers = sizes.map((size, at) => ({ ...randomContent(size, 60 + at), mediaType: LAYER }));
  const config = contentOf("{}", "application/vnd.oci.image.config.v1+json");
  const blobs = { config: descriptor(config), layers: layers.map((layer) => descriptor(layer)) };
  const manifest = contentOf({ schemaVersion: 2, mediaType: OCI_MANIFEST, ...blobs }, OCI_MANIFEST);
  upstream.add("app", { manifest, blobs: [config, ...layers], children: [] }, "1");
  return layers;
}

async function read(cache: Entrepot, path: string): Promise<Uint8Array> {
  const response = await cache.get(`/v2/app/${path}?ns=reg.test`);
  expect(response.status).toBe(200);
  return response.bytes();
}

async function expectAll(cache: Entrepot, layers: readonly Content[]): Promise<void> {
  for (const layer of layers) {
    const bytes = await read(cache, `blobs/${layer.digest}`);
    expect(Buffer.compare(bytes, bytesOf(layer))).toBe(0);
  }
}

(isLong ? test : test.skip)(
  "kill -9 while siblings are downloaded: what is there of them is not fetched again",
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("killed");
    const data = dir.file("data");
    const layers = imageAt(upstream, [MIB, 12 * MIB, 12 * MIB, 12 * MIB]);
    const [lowest] = layers;
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    upstream.respond(({ kind }) => (kind === "blob" ? faults.slow(3 * MIB) : undefined));
    for (let round = 0; round < 5; round += 1) {
      await using cache = await startEntrepot({ config, data });
      await read(cache, "manifests/1");
      if (lowest) await read(cache, `blobs/${lowest.digest}`);
      const reading = read(cache, `blobs/${layers[1]?.digest}`).catch(() => {});
      // The moment of the kill is arbitrary; this does not wait for a condition.
      await Bun.sleep(300 + round * 150);
      await cache.stop("SIGKILL");
      await reading;
    }
    expect((await unfinishedFills(data)).length).toBeGreaterThan(1);
    upstream.respond();
    await using cache = await startEntrepot({ config, data });
    await read(cache, "manifests/1");
    await expectAll(cache, layers);
    const sent = upstream.requests({ kind: "blob" }).reduce((sum, one) => sum + one.sent, 0);
    expect(sent).toBeLessThan(1.2 * 37 * MIB);
    expect((await command(cache, "fsck")).stdout).toContain("All blobs match");
    await cache.stop();
    await verifyStore(data);
  },
  120_000,
);

(isLong ? rootTest : test.skip)(
  "a disk that becomes full while siblings are downloaded keeps no client from its layers",
  async () => {
    await using upstream = await startScriptedUpstream();
    const layers = imageAt(upstream, [2 * MIB, 20 * MIB, 20 * MIB, 20 * MIB, 20 * MIB]);
    upstream.respond(({ kind }) => (kind === "blob" ? faults.slow(8 * MIB) : undefined));
    const data = disk.file("data");
    await using cache = await startEntrepot({
      config: {
        storage: { maxSize: "1GiB", minFree: 0 },
        upstreams: { "reg.test": localUpstream(upstream.url) },
      },
      data,
    });
    await read(cache, "manifests/1");
    await expectAll(cache, layers);
    await until(async () => (await unfinishedFills(data)).length === 0, { what: "no fill" });
    const stored = (await storedBlobs(data)).reduce((sum, { size }) => sum + size, 0);
    expect(stored).toBeLessThan(DISK);
    await cache.stop();
    await verifyStore(data);
  },
  120_000,
);
