import { expect, test } from "bun:test";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { digestNumber, repositoryRef } from "../../store/storetest/sample-names.ts";
import type { StoredManifest } from "../results.ts";
import { ImageTrees } from "./image-trees.ts";

const REPO = repositoryRef("reg.test", "app");
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";

function stored(mediaType: string, content: object): StoredManifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content }));
  return { bytes, mediaType, digest: digestOf(bytes) };
}

function image(layer: Digest): StoredManifest {
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", size: 1 };
  const layers = [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layer, size: 1 }];
  return stored(MANIFEST, { config: { ...config, digest: digestNumber(0) }, layers });
}

function indexOf(images: readonly StoredManifest[]): StoredManifest {
  const manifests = images.map(({ digest, bytes }) => {
    return { mediaType: MANIFEST, digest, size: bytes.length };
  });
  return stored(INDEX, { manifests });
}

/** The trees of what is stored, and which manifests were looked for. */
function treesOf(here: Map<Digest, StoredManifest>) {
  const asked: Digest[] = [];
  const trees = new ImageTrees({
    load: async (_, digest) => {
      asked.push(digest);
      return here.get(digest);
    },
  });
  return { trees, asked };
}

const byDigest = (all: readonly StoredManifest[]): Map<Digest, StoredManifest> =>
  new Map(all.map((one) => [one.digest, one]));

test("of an index of 1000 images, each manifest is read once", async () => {
  const images = Array.from({ length: 1000 }, (_, at) => image(digestNumber(at + 1)));
  const index = indexOf(images);
  const { trees, asked } = treesOf(byDigest([index, ...images]));
  const below = await trees.below(REPO, index.digest);
  // 1000 manifests with a layer each, and their configuration.
  expect(below.size).toBe(2001);
  expect(await trees.below(REPO, index.digest)).toEqual(below);
  expect(asked).toHaveLength(1001);
});

test("what was missing is looked for again, and nothing else is", async () => {
  const [one, other] = [image(digestNumber(1)), image(digestNumber(2))];
  const index = indexOf([one, other]);
  const here = byDigest([index, one]);
  const { trees, asked } = treesOf(here);
  const early = await trees.below(REPO, index.digest);
  expect([early.has(digestNumber(1)), early.has(digestNumber(2))]).toEqual([true, false]);
  asked.length = 0;
  expect(await trees.below(REPO, index.digest)).toEqual(early);
  expect(asked).toEqual([other.digest]);

  here.set(other.digest, other);
  expect((await trees.below(REPO, index.digest)).has(digestNumber(2))).toBe(true);
  asked.length = 0;
  await trees.below(REPO, index.digest);
  expect(asked).toEqual([]);
});

test("of more than 1000 images, the rest is not looked for", async () => {
  const images = Array.from({ length: 1100 }, (_, at) => image(digestNumber(at + 1)));
  const index = indexOf(images);
  const { trees, asked } = treesOf(byDigest([index, ...images]));
  await trees.below(REPO, index.digest);
  await trees.below(REPO, index.digest);
  expect(asked).toHaveLength(1001);
});
