import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OCI_INDEX, OCI_MANIFEST } from "../src/oci/media-types.ts";
import { downgradeMetadata } from "../src/store/storetest/earlier-schema.ts";
import { contentOf, descriptor, type SmallContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { errorResponse } from "./harness/faults/faults.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { Gate, until } from "./harness/waiting.ts";

const secret = contentOf("what only the owner's registry gives ".repeat(100), "text/plain");
const config = contentOf("{}", "application/vnd.oci.image.config.v1+json");

/** An image whose only layer is somebody else's blob: who knows its digest can write this. */
function naming(layer: SmallContent): Image {
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: descriptor(config),
    layers: [descriptor(layer)],
  };
  return { manifest: contentOf(manifest, OCI_MANIFEST), blobs: [config], children: [] };
}

/** Two registries in one cache: the owner's, and one whose manifests name the owner's content. */
async function setUp(data?: string) {
  const owner = await startScriptedUpstream();
  const other = await startScriptedUpstream();
  const start = (): Promise<Entrepot> =>
    startEntrepot({
      ...(data === undefined ? {} : { data }),
      config: {
        storage: { scrub: 0 },
        upstreams: {
          // Without a TTL, each request is a new question.
          "owner.test": { ...localUpstream(owner.url), tagTtl: 0 },
          "other.test": { ...localUpstream(other.url), tagTtl: 0 },
        },
      },
    });
  return {
    owner,
    other,
    start,
    async [Symbol.asyncDispose]() {
      await owner[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    },
  };
}

async function status(
  cache: Entrepot,
  registry: "owner.test" | "other.test",
  path: string,
  method: "GET" | "HEAD" = "GET",
): Promise<string> {
  const response = await cache.get(`/v2/${path}?ns=${registry}`, { method });
  await response.bytes();
  return `${response.status} ${response.headers.get("cache-status")?.replace("entrepot; ", "")}`;
}

const code = async (...of: Parameters<typeof status>): Promise<number> =>
  Number((await status(...of)).slice(0, 3));

const blobRequests = (upstream: ScriptedUpstream) =>
  upstream.requests({ reference: secret.digest }).map(({ method, headers }) => {
    const range = headers.get("range");
    return range ? `${method} ${range}` : method;
  });

const SECRET = `app/blobs/${secret.digest}`;

test("a manifest that names another registry's blob does not make it visible", async () => {
  await using at = await setUp();
  await using cache = await at.start();
  at.owner.addBlob("app", secret);
  at.other.add("app", naming(secret), "1");
  expect(await code(cache, "owner.test", SECRET)).toBe(200);
  expect(await code(cache, "other.test", "app/manifests/1")).toBe(200);
  expect(await code(cache, "other.test", SECRET)).toBe(404);
  expect(await code(cache, "other.test", SECRET, "HEAD")).toBe(404);
  at.other.respond(({ kind }) => (kind === "blob" ? errorResponse(403) : undefined));
  expect(await code(cache, "other.test", SECRET)).toBe(403);
  await at.other.stop();
  expect(await code(cache, "other.test", SECRET)).toBe(502);
  expect(await status(cache, "owner.test", SECRET)).toBe("200 hit");
});

test("the registry of a claim is asked once for one byte, and never again", async () => {
  await using at = await setUp();
  await using cache = await at.start();
  for (const upstream of [at.owner, at.other]) upstream.addBlob("app", secret);
  at.other.add("app", naming(secret), "1");
  expect(await code(cache, "owner.test", SECRET)).toBe(200);
  expect(await code(cache, "other.test", "app/manifests/1")).toBe(200);
  const gate = new Gate();
  at.other.respond(() => ({ hold: gate.opened }));
  const all = Array.from({ length: 20 }, () => status(cache, "other.test", SECRET));
  await until(() => blobRequests(at.other).length === 1, { what: "the question" });
  // The response to a later request shows that the others have been accepted before it.
  expect((await cache.get("/v2/")).status).toBe(200);
  gate.open();
  expect(new Set(await Promise.all(all))).toEqual(new Set(["200 fwd=miss; stored"]));
  await at.other.stop();
  expect(await status(cache, "other.test", SECRET)).toBe("200 hit");
  expect(await status(cache, "other.test", SECRET, "HEAD")).toBe("200 hit");
  expect(blobRequests(at.other)).toEqual(["GET bytes=0-0"]);
});

test("a claim opens what came from the same registry, with the registry down", async () => {
  await using at = await setUp();
  await using cache = await at.start();
  at.owner.addBlob("base", secret);
  at.owner.add("app", naming(secret), "1");
  expect(await code(cache, "owner.test", SECRET.replace("app", "base"))).toBe(200);
  expect(await code(cache, "owner.test", "app/manifests/1")).toBe(200);
  await at.owner.stop();
  expect(await status(cache, "owner.test", SECRET)).toBe("200 hit");
});

test("an index that names another registry's manifest does not make it visible", async () => {
  await using at = await setUp();
  await using cache = await at.start();
  const image = textImage({ text: "private" });
  at.owner.add("app", image, "1");
  const manifests = [
    { ...descriptor(image.manifest), platform: { os: "linux", architecture: "amd64" } },
  ];
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
  at.other.add("app", { manifest: contentOf(index, OCI_INDEX), blobs: [], children: [] }, "1");
  const child = `app/manifests/${image.manifest.digest}`;
  expect(await code(cache, "owner.test", child)).toBe(200);
  expect(await code(cache, "other.test", "app/manifests/1")).toBe(200);
  for (const method of ["HEAD", "GET"] as const) {
    expect(await code(cache, "other.test", child, method)).toBe(404);
  }
  // A client that takes no index gets the manifest of its platform, by the same rule.
  const accept = { headers: { accept: OCI_MANIFEST } };
  expect((await cache.get("/v2/app/manifests/1?ns=other.test", accept)).status).toBe(404);
  at.other.add("app", image);
  expect(await code(cache, "other.test", child)).toBe(200);
  await at.other.stop();
  expect(await status(cache, "other.test", child)).toBe("200 hit");
});

test("claims are still told apart after the metadata database was rebuilt", async () => {
  await using dir = await tempDir("claims");
  const data = dir.file("d");
  await using at = await setUp(data);
  const image = naming(secret);
  for (const repository of ["app", "copy"]) at.owner.add(repository, image, "1");
  at.owner.addBlob("app", secret);
  at.other.add("app", image, "1");
  {
    await using cache = await at.start();
    for (const path of ["app/manifests/1", SECRET, "copy/manifests/1"]) {
      expect(await code(cache, "owner.test", path)).toBe(200);
    }
    expect(await code(cache, "other.test", "app/manifests/1")).toBe(200);
  }
  await writeFile(join(data, "metadata.db"), "not a database".repeat(1000));
  await at.owner.stop();
  await using cache = await at.start();
  await cache.logged("metadata rebuilt");
  const copy = SECRET.replace("app", "copy");
  for (const path of ["app/manifests/1", SECRET, copy]) {
    expect(await code(cache, "owner.test", path)).toBe(200);
  }
  expect(await code(cache, "other.test", SECRET)).toBe(404);
});

test("of an earlier version's links, only those are believed that the registry itself made", async () => {
  await using dir = await tempDir("claims");
  const data = dir.file("d");
  await using at = await setUp(data);
  const own = textImage({ text: "own" });
  at.owner.addBlob("app", secret);
  at.other.add("app", naming(secret), "1");
  at.other.add("own", own, "1");
  const layer = own.blobs[1]?.digest;
  {
    await using cache = await at.start();
    expect(await code(cache, "owner.test", SECRET)).toBe(200);
    for (const path of ["app/manifests/1", "own/manifests/1", `own/blobs/${layer}`]) {
      expect(await code(cache, "other.test", path)).toBe(200);
    }
  }
  downgradeMetadata(join(data, "metadata.db"), 4);
  await using cache = await at.start();
  expect(await code(cache, "other.test", SECRET)).toBe(404);
  await at.owner.stop();
  await at.other.stop();
  expect(await status(cache, "owner.test", SECRET)).toBe("200 hit");
  for (const path of ["app/manifests/1", "own/manifests/1", `own/blobs/${layer}`]) {
    expect(await code(cache, "other.test", path)).toBe(200);
  }
  expect(await code(cache, "other.test", SECRET)).toBe(502);
});
