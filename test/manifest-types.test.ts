import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "../src/oci/media-types.ts";
import { downgradeMetadata } from "../src/store/storetest/earlier-schema.ts";
import { contentOf, descriptor } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import type { Image } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const config = contentOf("{}", "application/vnd.oci.image.config.v1+json");

/** Manifests that do not name their own type: only the registry's Content-Type tells it. */
const DOCUMENTS = {
  image: { schemaVersion: 2, config: descriptor(config), layers: [] },
  index: { schemaVersion: 2, manifests: [] },
};

function typed(document: object, mediaType: string): Image {
  return { manifest: contentOf(document, mediaType), blobs: [config], children: [] };
}

/** Two registries that give the same bytes different types. */
async function setUp() {
  const docker = await startScriptedUpstream();
  const oci = await startScriptedUpstream();
  docker.add("image", typed(DOCUMENTS.image, DOCKER_MANIFEST), "1");
  docker.add("index", typed(DOCUMENTS.index, DOCKER_LIST), "1");
  oci.add("image", typed(DOCUMENTS.image, OCI_MANIFEST), "1");
  oci.add("index", typed(DOCUMENTS.index, OCI_INDEX), "1");
  const upstreams = {
    "docker.test": { ...localUpstream(docker.url), tagTtl: "1h" },
    "oci.test": { ...localUpstream(oci.url), tagTtl: "1h" },
  };
  return {
    config: { storage: { scrub: 0 }, upstreams },
    stop: () => Promise.all([docker.stop(), oci.stop()]),
    async [Symbol.asyncDispose]() {
      await docker[Symbol.asyncDispose]();
      await oci[Symbol.asyncDispose]();
    },
  };
}

const digests = {
  image: contentOf(DOCUMENTS.image, OCI_MANIFEST).digest,
  index: contentOf(DOCUMENTS.index, OCI_INDEX).digest,
};

/** The types of both documents at both registries: by tag, by digest and by HEAD. */
async function types(cache: Entrepot): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const registry of ["docker.test", "oci.test"]) {
    const all = new Set<string>();
    for (const name of ["image", "index"] as const) {
      for (const [reference, method] of [
        ["1", "GET"],
        [digests[name], "GET"],
        [digests[name], "HEAD"],
        ["1", "HEAD"],
      ] as const) {
        const path = `/v2/${name}/manifests/${reference}?ns=${registry}`;
        const response = await cache.get(path, { method });
        await response.bytes();
        all.add(`${response.status} ${response.headers.get("content-type")}`);
      }
    }
    found[registry] = [...all];
  }
  return found;
}

const EXPECTED = {
  "docker.test": [`200 ${DOCKER_MANIFEST}`, `200 ${DOCKER_LIST}`],
  "oci.test": [`200 ${OCI_MANIFEST}`, `200 ${OCI_INDEX}`],
};

test("a manifest has the type that its own registry gives it, also when its database is rebuilt", async () => {
  await using at = await setUp();
  await using dir = await tempDir("types");
  const data = dir.file("d");
  {
    await using cache = await startEntrepot({ config: at.config, data });
    expect(await types(cache)).toEqual(EXPECTED);
    await at.stop();
    expect(await types(cache)).toEqual(EXPECTED);
  }
  {
    await using cache = await startEntrepot({ config: at.config, data });
    expect(await types(cache)).toEqual(EXPECTED);
  }
  await writeFile(join(data, "metadata.db"), "not a database".repeat(1000));
  await using cache = await startEntrepot({ config: at.config, data });
  await cache.logged("metadata rebuilt");
  expect(await types(cache)).toEqual(EXPECTED);
});

test("a manifest of an earlier version's database keeps its type", async () => {
  await using at = await setUp();
  await using dir = await tempDir("types");
  const data = dir.file("d");
  const path = `/v2/image/manifests/${digests.image}?ns=docker.test`;
  {
    await using cache = await startEntrepot({ config: at.config, data });
    expect((await cache.get(path)).status).toBe(200);
  }
  downgradeMetadata(join(data, "metadata.db"), 4);
  await at.stop();
  await using cache = await startEntrepot({ config: at.config, data });
  const response = await cache.get(path);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, DOCKER_MANIFEST]);
});
