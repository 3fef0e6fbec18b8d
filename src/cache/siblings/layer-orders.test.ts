import { expect, test } from "bun:test";
import { contentOf, descriptor, type SmallContent } from "../../../test/harness/images/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../oci/media-types.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { repositoryRef } from "../../store/storetest/sample-names.ts";
import { LayerOrders } from "./layer-orders.ts";

const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";
const app = repositoryRef("reg.test", "app");

function layer(name: string, type = LAYER): SmallContent {
  return contentOf(`layer ${name}`, type);
}

interface Entry {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly urls?: readonly string[];
}

function manifest(layers: readonly Entry[], config = contentOf("{}", CONFIG)): SmallContent {
  const json = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor(config), layers };
  return contentOf(json, OCI_MANIFEST);
}

/** Layer orders that read manifests from memory; what is loaded is counted. */
function orders() {
  const clock = { now: 0 };
  const manifests = new Map<Digest, SmallContent>();
  const loaded: Digest[] = [];
  const of = new LayerOrders({
    now: () => clock.now,
    load: async (_repo, digest) => {
      loaded.push(digest);
      return manifests.get(digest);
    },
  });
  const serve = (content: SmallContent, repo: RepositoryRef = app): void => {
    manifests.set(content.digest, content);
    of.served(repo, content);
  };
  const above = async (content: SmallContent, repo: RepositoryRef = app) => {
    const found = await of.above(repo, content.digest);
    return found && { isCertain: found.isCertain, sizes: found.blobs.map(({ size }) => size) };
  };
  return { of, clock, loaded, serve, above };
}

/** A layer of its own size, by which it is told from others. */
function sized(size: number): SmallContent {
  return contentOf("x".repeat(size), LAYER);
}

const [one, two, three, four] = [sized(11), sized(12), sized(13), sized(14)];
const CONFIG_SIZE = 2;

test("above a layer are the config and the layers after it, in the manifest's order", async () => {
  const { serve, above, loaded } = orders();
  const image = manifest([one, two, three].map(descriptor));
  serve(image);
  serve(image);
  expect(await above(one)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE, 12, 13] });
  expect(await above(three)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE] });
  expect(await above(four)).toBeUndefined();
  expect(await above(one, repositoryRef("reg.test", "other"))).toBeUndefined();
  // It is parsed once, and only because a layer was missing.
  expect(loaded).toEqual([image.digest]);
});

test("a layer that is named twice counts once, where it is first", async () => {
  const { serve, above } = orders();
  serve(manifest([one, two, one, three, two].map(descriptor)));
  expect(await above(one)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE, 12, 13] });
  expect(await above(two)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE, 13] });
});

test("layers that the registry does not have are left out", async () => {
  const { serve, above } = orders();
  const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
  const restricted = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
  serve(
    manifest([
      descriptor(one),
      { ...descriptor(two), urls: ["https://example.com/layer"] },
      descriptor(layer("foreign", foreign)),
      descriptor(layer("restricted", restricted)),
      descriptor(three),
    ]),
  );
  expect(await above(one)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE, 13] });
});

test.each<[string, SmallContent]>([
  ["an index", contentOf({ schemaVersion: 2, manifests: [] }, OCI_INDEX)],
  ["an image without layers", manifest([])],
  [
    "a chart",
    manifest([one].map(descriptor), contentOf("{}", "application/vnd.cncf.helm.config.v1+json")),
  ],
  [
    "an attestation",
    manifest(
      [
        layer("sbom", "application/vnd.in-toto+json"),
        layer("provenance", "application/vnd.in-toto+json"),
      ].map(descriptor),
    ),
  ],
  [
    "more layers than an image can have",
    manifest(Array.from({ length: 300 }, (_, at) => descriptor(sized(at + 20)))),
  ],
  ["no JSON", contentOf("{", OCI_MANIFEST)],
])("%s has no siblings", async (_, content) => {
  const { serve, of } = orders();
  serve(content);
  for (const blob of [one, layer("sbom", "application/vnd.in-toto+json"), sized(20)]) {
    expect(await of.above(app, blob.digest)).toBeUndefined();
  }
});

test("of images with the same lower layers, only what they share is known, until a layer tells them apart", async () => {
  const { serve, above, clock } = orders();
  serve(manifest([one, two, three].map(descriptor)));
  clock.now += 1;
  serve(manifest([one, two, four].map(descriptor)));
  expect(await above(one)).toEqual({ isCertain: false, sizes: [CONFIG_SIZE, 12] });
  expect(await above(three)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE] });
  // The one that was fetched a moment ago is the one that is pulled.
  clock.now += 61_000;
  serve(manifest([one, two, four].map(descriptor)));
  expect(await above(one)).toEqual({ isCertain: true, sizes: [CONFIG_SIZE, 12, 14] });
});

test("the latest 512 manifests are known, with so many layers altogether", async () => {
  const { of, serve, above } = orders();
  for (let number = 0; number < 600; number += 1) {
    serve(
      manifest([one, sized(100 + number)].map(descriptor)),
      repositoryRef("reg.test", `a${number}`),
    );
  }
  expect(of.count).toBe(512);
  expect(await above(one, repositoryRef("reg.test", "a0"))).toBeUndefined();
  expect(await above(one, repositoryRef("reg.test", "a599"))).toBeDefined();
  const many = Array.from({ length: 256 }, (_, at) => descriptor(sized(at + 1000)));
  for (let number = 0; number < 100; number += 1) {
    const repo = repositoryRef("reg.test", `many${number}`);
    serve(manifest([...many.slice(1), { ...descriptor(one), size: number }]), repo);
    await of.above(repo, sized(1001).digest);
  }
  expect(of.count).toBeLessThanOrEqual(16_384 / 256 + 1);
});
