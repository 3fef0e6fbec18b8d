import { describe, expect, test } from "bun:test";
import { parseManifest } from "./manifest.ts";
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "./media-types.ts";

const digest = `sha256:${"a".repeat(64)}`;
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 10 };
const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: layer, layers: [layer] };
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe("parseManifest accepts", () => {
  test("an image manifest, and omits layers with urls", () => {
    const foreign = { ...layer, urls: ["https://elsewhere.test/layer"] };
    const manifest = parseManifest(encode({ ...image, layers: [layer, foreign] }), OCI_MANIFEST);
    expect(manifest.blobs.map(({ size }) => size)).toEqual([10, 10]);
    expect(manifest.manifests).toEqual([]);
  });

  test("an image index, and reads the platform of each entry", () => {
    const platform = { os: "linux", architecture: "arm", variant: "v7" };
    const entry = { ...layer, mediaType: OCI_MANIFEST, platform };
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry, layer] };
    const { manifests } = parseManifest(encode(index), OCI_INDEX);
    expect(manifests.map((item) => item.platform)).toEqual(["linux/arm/v7", undefined]);
  });

  test("a media type that only the Content-Type or only the body has", () => {
    const { mediaType: _, ...untyped } = image;
    expect(parseManifest(encode(untyped), OCI_MANIFEST).mediaType).toBe(OCI_MANIFEST);
    expect(parseManifest(encode(image), "application/octet-stream").mediaType).toBe(OCI_MANIFEST);
  });
});

test.each([
  ["text that is not JSON", new TextEncoder().encode("<html>"), "text/html", "not JSON"],
  ["schema 1", encode({ schemaVersion: 1, name: "x" }), OCI_MANIFEST, "schema 1"],
  ["a mediaType that contradicts the Content-Type", encode(image), DOCKER_MANIFEST, "contradicts"],
  [
    "a manifest without a media type",
    encode({ ...image, mediaType: undefined }),
    "",
    "not a supported manifest type",
  ],
  [
    "both manifests and layers",
    encode({ ...image, manifests: [layer] }),
    OCI_MANIFEST,
    "both manifests and layers",
  ],
  [
    "an index without manifests",
    encode({ ...image, mediaType: DOCKER_LIST }),
    DOCKER_LIST,
    "do not match its media type",
  ],
  [
    "an invalid digest",
    encode({ ...image, config: { ...layer, digest: "sha256:../x" } }),
    OCI_MANIFEST,
    "digest",
  ],
  ["a negative size", encode({ ...image, config: { ...layer, size: -1 } }), OCI_MANIFEST, "size"],
  ["a manifest over the size limit", new Uint8Array(8 * 1024 * 1024 + 1), OCI_MANIFEST, "limit"],
])("parseManifest rejects %s", (_, bytes, contentType, message) => {
  expect(() => parseManifest(bytes, contentType)).toThrow(message);
});
