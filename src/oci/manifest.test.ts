import { describe, expect, test } from "bun:test";
import { parseManifest } from "./manifest.ts";
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "./media-types.ts";

const digest = `sha256:${"a".repeat(64)}`;
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 10 };
const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: layer, layers: [layer] };
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe("accepts", () => {
  test("an image, and leaves out layers that live elsewhere", () => {
    const foreign = { ...layer, urls: ["https://elsewhere.test/layer"] };
    const manifest = parseManifest(encode({ ...image, layers: [layer, foreign] }), OCI_MANIFEST);
    expect(manifest.blobs.map(({ size }) => size)).toEqual([10, 10]);
    expect(manifest.manifests).toEqual([]);
  });

  test("an index, with its platforms", () => {
    const platform = { os: "linux", architecture: "arm", variant: "v7" };
    const entry = { ...layer, mediaType: OCI_MANIFEST, platform };
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry, layer] };
    const { manifests } = parseManifest(encode(index), OCI_INDEX);
    expect(manifests.map((reference) => reference.platform)).toEqual(["linux/arm/v7", undefined]);
  });

  test("a type that only the header tells, or only the body", () => {
    const { mediaType: _, ...untyped } = image;
    expect(parseManifest(encode(untyped), OCI_MANIFEST).mediaType).toBe(OCI_MANIFEST);
    expect(parseManifest(encode(image), "application/octet-stream").mediaType).toBe(OCI_MANIFEST);
  });
});

test.each([
  ["no JSON", new TextEncoder().encode("<html>"), "text/html", "not JSON"],
  ["schema 1", encode({ schemaVersion: 1, name: "x" }), OCI_MANIFEST, "schema 1"],
  ["a contradicted type", encode(image), DOCKER_MANIFEST, "contradicts"],
  ["no type at all", encode({ ...image, mediaType: undefined }), "", "no manifest type"],
  ["manifests and layers", encode({ ...image, manifests: [layer] }), OCI_MANIFEST, "at once"],
  [
    "an index that is none",
    encode({ ...image, mediaType: DOCKER_LIST }),
    DOCKER_LIST,
    "fit its type",
  ],
  [
    "a digest that is none",
    encode({ ...image, config: { ...layer, digest: "sha256:../x" } }),
    OCI_MANIFEST,
    "digest",
  ],
  ["a negative size", encode({ ...image, config: { ...layer, size: -1 } }), OCI_MANIFEST, "size"],
  ["too many bytes", new Uint8Array(8 * 1024 * 1024 + 1), OCI_MANIFEST, "limit"],
])("refuses %s", (_, bytes, contentType, message) => {
  expect(() => parseManifest(bytes, contentType)).toThrow(message);
});
