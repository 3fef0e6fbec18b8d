import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Digest } from "../src/oci/digest.ts";
import { OCI_MANIFEST } from "../src/oci/media-types.ts";
import {
  type Content,
  contentOf,
  descriptor,
  randomContent,
  type SmallContent,
} from "./harness/images/content.ts";
import { type DockerRegistry, startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import type { Image } from "./harness/images/images.ts";
import { mustRun } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { real, realTest } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const KIB = 1024;
const LAYER = "application/vnd.oci.image.layer.v1.tar";

function layer(size: number, seed: number): Content {
  return { ...randomContent(size, seed), mediaType: LAYER };
}

/** An image of layers without content, which nobody unpacks. */
function imageOf(layers: readonly Content[]): Image {
  const config = contentOf(
    {
      architecture: "amd64",
      os: "linux",
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    },
    "application/vnd.oci.image.config.v1+json",
  );
  const json = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config),
    layers: layers.map((blob) => descriptor(blob)),
  };
  return { manifest: contentOf(json, OCI_MANIFEST), blobs: [config, ...layers], children: [] };
}

const base = [300, 200, 3000, 10].map((size, at) => layer(size * KIB, 10 + at));
const inspected = imageOf([layer(50 * KIB, 1), layer(60 * KIB, 2)]);
const copied = imageOf([2000, 40, 30, 2000, 20].map((size, at) => layer(size * KIB, 20 + at)));
const second = imageOf([...base, ...[50, 2000, 70].map((size, at) => layer(size * KIB, 30 + at))]);
/** By repository. */
const IMAGES = { inspected, copied, second };

let registry: DockerRegistry;
let cache: Entrepot;

beforeAll(async () => {
  if (!real.available) return;
  registry = await startDockerRegistry();
  for (const [repository, image] of Object.entries(IMAGES)) {
    await push(image, { url: registry.url, repository, tag: "1" });
  }
  await registry.forget();
  cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(registry.url) } },
  });
});

afterAll(async () => {
  await cache?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

/** The bytes of blobs that the registry has sent for a repository, by digest, in requests for whole ones. */
async function sentBlobs(repository: string): Promise<ReadonlyMap<string, number>> {
  const sent = new Map<string, number>();
  const requests = await registry.requests({ path: new RegExp(`^/v2/${repository}/blobs/`) });
  for (const { path, sent: bytes } of requests) {
    const digest = path.split("/").at(-1) ?? "";
    sent.set(digest, (sent.get(digest) ?? 0) + bytes);
  }
  return sent;
}

function sizes(contents: readonly (Content | SmallContent)[]): ReadonlyMap<Digest, number> {
  return new Map(contents.map(({ digest, size }) => [digest, size]));
}

async function get(path: string): Promise<Response> {
  const response = await cache.get(`${path}?ns=reg.test`);
  expect(response.status).toBe(200);
  return response;
}

realTest("skopeo inspect fetches the manifest and the config, and no layer", async () => {
  const name = `docker://${cache.address}/reg.test/inspected:1`;
  await mustRun(["skopeo", "inspect", "--tls-verify=false", name]);
  await mustRun(["skopeo", "inspect", "--config", "--tls-verify=false", name]);
  expect(await sentBlobs("inspected")).toEqual(sizes(inspected.blobs.slice(0, 1)));
});

realTest("skopeo copy has each blob fetched once", async () => {
  await using target = await tempDir("copied");
  const source = `docker://${cache.address}/reg.test/copied:1`;
  const copy = ["skopeo", "copy", "--src-tls-verify=false", source, `dir:${target.file("app")}`];
  await mustRun(copy);
  expect(await sentBlobs("copied")).toEqual(sizes(copied.blobs));
});

realTest(
  "a node that has the base of an image, as it has the version before, has no layer of it fetched",
  async () => {
    await get("/v2/second/manifests/1");
    const [config, ...layers] = second.blobs;
    const needed = layers.slice(base.length);
    // In any order, as containerd 2.1 asks.
    const asked = [needed[1], config, needed[2], needed[0]].flatMap((blob) => blob ?? []);
    await Promise.all(
      asked.map(async ({ digest }) => (await get(`/v2/second/blobs/${digest}`)).bytes()),
    );
    const isIdle = async (): Promise<boolean> =>
      /^entrepot_fills_active 0$/m.test(await (await cache.getAdmin("/metrics")).text());
    await until(isIdle, { what: "no blob is downloaded" });
    expect(await sentBlobs("second")).toEqual(sizes(asked));
  },
);

test.skipIf(!real.available)(
  "what was downloaded ahead is counted, and shown by status",
  async () => {
    const { upstreams } = (await (await cache.getAdmin("/api/v1/status")).json()) as {
      // As api/status.ts describes it.
      upstreams: { prefetch: { state: string; downloaded: number; asked: number } }[];
    };
    const { prefetch } = upstreams[0] ?? { prefetch: undefined };
    expect(prefetch?.state).toBe("on");
    expect(prefetch?.downloaded).toBeGreaterThan(0);
    expect(prefetch?.asked).toBe(prefetch?.downloaded ?? -1);
    const metrics = await (await cache.getAdmin("/metrics")).text();
    const counted = `entrepot_prefetched_blobs_total{upstream="reg.test"} ${prefetch?.downloaded}`;
    expect(metrics).toContain(counted);
    expect(metrics).toContain('entrepot_prefetch_paused{upstream="reg.test"} 0');
  },
);
