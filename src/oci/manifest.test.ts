import { describe, expect, test } from "bun:test";
import { readManifest } from "./manifest.ts";
import {
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_ARTIFACT,
  OCI_INDEX,
  OCI_MANIFEST,
} from "./media-types.ts";

const digest = `sha256:${"a".repeat(64)}`;
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 10 };
const image = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: layer, layers: [layer] };
const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [layer] };
const { mediaType: _, ...untypedImage } = image;
const { mediaType: __, ...untypedIndex } = index;
const VENDOR = "application/vnd.acme.thing.v1+json";
const read = (document: unknown, contentType = "") =>
  readManifest(JSON.stringify(document), contentType);

describe("readManifest skips what the cache cannot use", () => {
  test.each([
    ["a foreign layer", { ...layer, urls: ["https://elsewhere.test/layer"] }, 0],
    ["an empty list of urls", { ...layer, urls: [] }, 1],
    ["odd urls", { ...layer, urls: "none" }, 1],
    ["sha512", { ...layer, digest: `sha512:${"a".repeat(128)}` }, 1],
    ["an unknown algorithm", { ...layer, digest: `blake3:${"a".repeat(64)}` }, 0],
    ["a digest that is a path", { ...layer, digest: "sha256:../x" }, 0],
    ["no digest", { ...layer, digest: null }, 0],
    ["no size", { ...layer, size: undefined }, 0],
    ["a negative size", { ...layer, size: -1 }, 0],
    ["a size in words", { ...layer, size: "10" }, 0],
    ["a size beyond numbers", { ...layer, size: 2 ** 60 }, 0],
    ["no media type", { ...layer, mediaType: null }, 1],
    ["an odd platform", { ...layer, platform: "linux" }, 1],
    ["null", null, 0],
    ["a number", 7, 0],
    ["an array", [layer], 0],
  ])("in a layer, config or entry: %s", (_case, odd, found) => {
    const asLayer = read({ ...untypedImage, layers: [layer, odd, layer] }, OCI_MANIFEST);
    expect(asLayer.blobs).toHaveLength(3 + found);
    const asConfig = read({ ...image, config: odd });
    expect(asConfig.blobs).toHaveLength(1 + found);
    // Runtimes fetch layers from elsewhere, but not manifests.
    const isUsable = found === 1 || (typeof odd === "object" && odd !== null && "urls" in odd);
    const asEntry = read({ ...index, manifests: [odd, layer] });
    expect(asEntry.manifests).toHaveLength(isUsable ? 2 : 1);
    expect(read({ ...index, subject: odd }).manifests).toHaveLength(1);
  });

  test.each([
    [{ os: "linux", architecture: "arm", variant: "v7" }, "linux/arm/v7"],
    [{ os: "linux", architecture: "amd64", variant: null, "os.features": null }, "linux/amd64"],
    [{ os: "linux", architecture: "amd64", variant: "" }, "linux/amd64"],
    [{ os: "unknown", architecture: "unknown" }, "unknown/unknown"],
    [{ architecture: "arm64" }, undefined],
    [{ os: "darwin" }, undefined],
    [{ os: null, architecture: null }, undefined],
    [{ os: "", architecture: "" }, undefined],
    [{ os: "linux", architecture: 64 }, undefined],
    [{ os: "\u001B[2J", architecture: "amd64" }, undefined],
    [{}, undefined],
    [[], undefined],
    [null, undefined],
    ["linux/amd64", undefined],
  ])("in a platform: %j", (platform, expected) => {
    const { manifests } = read({ ...index, manifests: [{ ...layer, platform }] });
    expect(manifests.map((entry) => entry.platform)).toEqual([expected]);
  });
});

describe("readManifest finds the type", () => {
  const dockerImage = { ...untypedImage, config: { ...layer, mediaType: DOCKER_CONFIG } };
  const dockerList = { manifests: [{ ...layer, mediaType: DOCKER_MANIFEST }] };
  const nothing = { manifests: null, layers: null, config: null, blobs: null };
  const cases: [unknown, string, string][] = [
    [untypedImage, OCI_MANIFEST, OCI_MANIFEST],
    [untypedImage, DOCKER_MANIFEST, DOCKER_MANIFEST],
    [image, "application/octet-stream", OCI_MANIFEST],
    [{ ...image, mediaType: OCI_MANIFEST.toUpperCase() }, "", OCI_MANIFEST],
    [{ ...image, mediaType: VENDOR }, DOCKER_MANIFEST, DOCKER_MANIFEST],
    [{ ...image, mediaType: 7 }, OCI_MANIFEST, OCI_MANIFEST],
    [image, VENDOR, OCI_MANIFEST],
    [{ ...nothing, mediaType: OCI_INDEX }, OCI_INDEX, OCI_INDEX],
    [{ ...nothing, mediaType: OCI_MANIFEST }, "", OCI_MANIFEST],
    [{}, OCI_INDEX, OCI_INDEX],
    // By the fields.
    ...["", "application/json", "text/plain", "application/octet-stream", "x"].map(
      (type): [unknown, string, string] => [untypedImage, type, OCI_MANIFEST],
    ),
    [untypedIndex, "application/json", OCI_INDEX],
    [{ ...index, mediaType: null }, "application/json", OCI_INDEX],
    [{ manifests: [] }, "", OCI_INDEX],
    [{ manifests: null }, "", OCI_INDEX],
    [{ layers: null, manifests: null }, "", OCI_MANIFEST],
    [{ config: layer, layers: null }, "", OCI_MANIFEST],
    [{ blobs: [layer] }, "", OCI_ARTIFACT],
    [dockerImage, "text/plain", DOCKER_MANIFEST],
    [dockerList, "", DOCKER_LIST],
    // A registry that calls everything schema 1.
    [untypedImage, "application/vnd.docker.distribution.manifest.v1+prettyjws", OCI_MANIFEST],
    // A vendor's.
    [untypedImage, VENDOR, VENDOR],
    [{ ...index, mediaType: VENDOR }, "application/json", VENDOR],
    [{ ...image, mediaType: `${VENDOR}\r\nx: y` }, "application/json", OCI_MANIFEST],
  ];
  test.each(cases)("of %j as %p: %p", (document, contentType, expected) => {
    const manifest = read(document, contentType);
    expect(manifest.mediaType).toBe(expected);
    // It is read again from the store, with the type that it got.
    expect(read(document, expected)).toEqual(manifest);
  });
});

test.each([
  ["an array", [], OCI_MANIFEST, "not a JSON object"],
  ["null", null, OCI_MANIFEST, "not a JSON object"],
  ["schema 1", { schemaVersion: 1, name: "x" }, OCI_MANIFEST, "schema 1"],
  ["layers of schema 1", { ...image, fsLayers: [{}] }, OCI_MANIFEST, "schema 1"],
  ["a mediaType that contradicts the Content-Type", image, DOCKER_MANIFEST, "contradicts"],
  ["an index that claims to be an image", index, OCI_MANIFEST, "contradicts"],
  ["both manifests and layers", { ...image, manifests: [layer] }, OCI_MANIFEST, "both manifests"],
  ["both, of a vendor", { ...untypedIndex, layers: [layer] }, VENDOR, "both manifests"],
  ["both, without a type", { ...untypedIndex, layers: [{}] }, "", "both manifests"],
  ["manifests beside a config", { ...untypedIndex, config: {} }, OCI_INDEX, "both manifests"],
  ["no manifests beside layers", { ...image, manifests: [] }, OCI_MANIFEST, "both manifests"],
  ["other spellings beside it", { ...index, LAYERS: [layer] }, OCI_INDEX, "both manifests"],
  ["an index without manifests", untypedImage, DOCKER_LIST, "do not match its media type"],
  ["an image without layers", untypedIndex, OCI_MANIFEST, "do not match its media type"],
  ["layers that are no list", { ...image, layers: {} }, OCI_MANIFEST, "layers are not a list"],
  ["manifests that are no list", { manifests: "x" }, "", "manifests are not a list"],
  ["an object", { name: "x" }, "application/json", "nor a manifest's fields"],
  ["an error", { errors: [] }, "application/json", "nor a manifest's fields"],
  ["a config of something else", { config: { a: 1 } }, "", "nor a manifest's fields"],
  ["a vendor's object", { name: "x" }, VENDOR, "nor a manifest's fields"],
])("readManifest rejects %s", (_case, document, contentType, message) => {
  expect(() => read(document, contentType)).toThrow(message);
});
