import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "../src/oci/media-types.ts";
import { command } from "./harness/cache/commands.ts";
import {
  type Content,
  contentOf,
  descriptor,
  type SmallContent,
} from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";

const config = contentOf('{"os":"linux","architecture":"amd64"}', "application/json");
const layer = contentOf("a layer", "application/x-odd");
const longDigest = { ...layer, digest: digestOf(layer.bytes, "sha512") };
const image = { schemaVersion: 2, config: descriptor(config), layers: [descriptor(layer)] };
const child = contentOf({ ...image, mediaType: OCI_MANIFEST }, OCI_MANIFEST);
const VENDOR = "application/vnd.acme.thing.v1+json";

const platform = (value: unknown): object => ({
  schemaVersion: 2,
  mediaType: OCI_INDEX,
  manifests: [{ ...descriptor(child), platform: value }],
});
const withLayer = (odd: unknown): object => ({ ...image, layers: [descriptor(layer), odd] });

/** What is served: the document, the Content-Type of the registry, and that of the cache. */
const SERVED: Readonly<Record<string, readonly [object, string, string]>> = {
  "platform-empty": [platform({}), OCI_INDEX, OCI_INDEX],
  "platform-in-part": [platform({ architecture: "arm64" }), OCI_INDEX, OCI_INDEX],
  "platform-of-nulls": [platform({ os: null, architecture: null }), OCI_INDEX, OCI_INDEX],
  "platform-null": [platform(null), OCI_INDEX, OCI_INDEX],
  "platform-text": [platform("linux/amd64"), OCI_INDEX, OCI_INDEX],
  "manifests-null": [{ schemaVersion: 2, manifests: null }, OCI_INDEX, OCI_INDEX],
  "layers-null": [{ ...image, layers: null }, OCI_MANIFEST, OCI_MANIFEST],
  "config-null": [{ ...image, config: null }, OCI_MANIFEST, OCI_MANIFEST],
  "layer-sha512": [withLayer(descriptor(longDigest)), OCI_MANIFEST, OCI_MANIFEST],
  "layer-blake3": [withLayer({ digest: "blake3:00", size: 1 }), OCI_MANIFEST, OCI_MANIFEST],
  "layer-null": [withLayer(null), OCI_MANIFEST, OCI_MANIFEST],
  "layer-without-size": [withLayer({ digest: layer.digest }), OCI_MANIFEST, OCI_MANIFEST],
  "type-missing": [image, "", OCI_MANIFEST],
  "type-json": [image, "application/json", OCI_MANIFEST],
  "type-text": [image, "text/plain; charset=utf-8", OCI_MANIFEST],
  "type-bytes": [{ manifests: [descriptor(child)] }, "application/octet-stream", OCI_INDEX],
  "type-of-a-vendor": [image, VENDOR, VENDOR],
  "type-of-a-vendor-inside": [{ ...image, mediaType: VENDOR }, "application/json", VENDOR],
  "type-known-outside": [{ ...image, mediaType: VENDOR }, DOCKER_MANIFEST, DOCKER_MANIFEST],
};

const deep = (levels: number): string => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;
const both = { ...image, manifests: [descriptor(child)] };

const REFUSED: Readonly<Record<string, readonly [object | string, string, string]>> = {
  both: [both, OCI_MANIFEST, "both manifests and layers"],
  "both-of-a-vendor": [both, VENDOR, "both manifests and layers"],
  "both-without-a-type": [both, "application/json", "both manifests and layers"],
  "schema-1": [
    { schemaVersion: 1, fsLayers: [] },
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "schema 1",
  ],
  contradiction: [{ ...image, mediaType: OCI_MANIFEST }, DOCKER_MANIFEST, "contradicts"],
  "no-manifest": [{ name: "x" }, "application/json", "nor a manifest's fields"],
  "no-manifest-of-a-vendor": [{ name: "x" }, VENDOR, "nor a manifest's fields"],
  nested: [deep(100), OCI_MANIFEST, "more than 64 levels are nested"],
  "nested-deeply": [deep(3_000_000), OCI_MANIFEST, "more than 64 levels are nested"],
};

async function setUp() {
  const upstream = await startScriptedUpstream();
  const contents = new Map<string, SmallContent>();
  for (const [name, [document, type]] of Object.entries({ ...SERVED, ...REFUSED })) {
    const isText = typeof document === "string";
    // Each has a digest of its own.
    const manifest = contentOf(isText ? document : { ...document, annotations: { name } }, type);
    contents.set(name, manifest);
    upstream.add(name, { manifest, blobs: [config, layer], children: [] }, "1");
    upstream.add(name, { manifest: child, blobs: [], children: [] });
    upstream.addBlob(name, longDigest);
  }
  upstream.respond(({ repository }) =>
    repository === "type-missing" ? { headers: { "Content-Type": undefined } } : undefined,
  );
  const at = { ...localUpstream(upstream.url), tagTtl: "1h" };
  const upstreams = { "reg.test": at, "raw.test": { ...at, bypass: ["**"] } };
  const contentNamed = (name: string): SmallContent => contents.get(name) ?? child;
  return { upstream, settings: { upstreams }, contentNamed };
}

/** The status, the Content-Type and whether the size or the bytes are right, for HEAD and GET. */
async function answers(cache: Entrepot, path: string, content: Content & { bytes: Uint8Array }) {
  const seen: unknown[] = [];
  for (const method of ["HEAD", "GET", "HEAD"]) {
    const response = await cache.get(path, { method });
    const bytes = await response.bytes();
    const isRight =
      method === "GET"
        ? Buffer.compare(bytes, content.bytes) === 0
        : response.headers.get("content-length") === String(content.size);
    seen.push([response.status, response.headers.get("content-type"), isRight]);
  }
  return seen;
}

test("an odd manifest whose digest is right is passed on as it is, stored and rebuilt", async () => {
  const { upstream, settings, contentNamed } = await setUp();
  await using _ = upstream;
  await using dir = await tempDir("data");
  const data = dir.file("d");
  const expected = Object.fromEntries(
    Object.entries(SERVED).map(([name, [, , type]]) => {
      const answer = [200, type, true];
      return [name, [answer, answer, answer]];
    }),
  );
  const all = async (cache: Entrepot, of: (name: string) => string) => {
    const seen: Record<string, unknown> = {};
    for (const name of Object.keys(SERVED)) {
      seen[name] = await answers(cache, of(name), contentNamed(name));
    }
    return seen;
  };
  const byTag = (name: string) => `/v2/${name}/manifests/1?ns=reg.test`;
  const byDigest = (name: string) =>
    `/v2/${name}/manifests/${contentNamed(name).digest}?ns=reg.test`;
  {
    await using cache = await startEntrepot({ config: settings, data });
    expect(await all(cache, (name) => `/v2/raw.test/${name}/manifests/1`)).toEqual(expected);
    expect(await all(cache, byTag)).toEqual(expected);
    expect(await all(cache, byDigest)).toEqual(expected);
    for (const { digest, size } of [layer, longDigest]) {
      const response = await cache.get(`/v2/layer-sha512/blobs/${digest}?ns=reg.test`);
      expect([response.status, (await response.bytes()).byteLength]).toEqual([200, size]);
    }
    const listed = (await command(cache, "ls")).stdout;
    for (const name of Object.keys(SERVED)) expect(listed).toContain(`reg.test/${name} `);
  }
  await upstream.stop();
  await writeFile(join(data, "metadata.db"), "not a database".repeat(1000));
  await using cache = await startEntrepot({ config: settings, data });
  await cache.logged("metadata rebuilt");
  expect(await all(cache, byTag)).toEqual(expected);
  expect(await all(cache, byDigest)).toEqual(expected);
}, 60_000);

test("a manifest that clients could interpret differently is refused, and its message says why", async () => {
  const { upstream, settings, contentNamed } = await setUp();
  await using _ = upstream;
  await using cache = await startEntrepot({ config: settings });
  for (const [name, [, , reason]] of Object.entries(REFUSED)) {
    const { digest } = contentNamed(name);
    for (const path of [
      `/v2/${name}/manifests/1?ns=reg.test`,
      `/v2/${name}/manifests/${digest}?ns=reg.test`,
      `/v2/raw.test/${name}/manifests/1`,
    ]) {
      const response = await cache.get(path);
      expect([path, response.status]).toEqual([path, 502]);
      expect(await response.text()).toContain(reason);
    }
  }
});
