import { afterAll, beforeAll, expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../oci/media-types.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { openDiskBlobStore } from "../../store/disk/disk-blob-store.ts";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { type CachedImage, Images } from "../retention/images.ts";
import { ManifestTrees } from "../retention/manifest-trees.ts";
import { type ImageOrder, ImagePages, type ImageQuery } from "./image-pages.ts";

const closing = new AsyncDisposableStack();
let store: BlobStore;
let metadata: MetadataStore;

beforeAll(async () => {
  const dir = closing.use(await tempDir("image-pages"));
  store = await openDiskBlobStore(dir.path);
  metadata = await openMetadata(":memory:");
  closing.defer(() => metadata.close());
});
afterAll(() => closing.disposeAsync());

/** Stores a manifest of the repository `reg.test/NAME`, of so many bytes. */
async function add(name: string, version: string | undefined, size: number): Promise<Digest> {
  const text = JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, name, version });
  return put(name, version, text.padEnd(size), OCI_MANIFEST);
}

async function put(name: string, version: string | undefined, text: string, mediaType: string) {
  const repo = repositoryRef("reg.test", name);
  const bytes = Buffer.from(text);
  const digest = await storeBytes(store, bytes);
  await metadata.blobs.put({ digest, size: bytes.byteLength, mediaType }, bytes.byteLength);
  await metadata.links.add(repo, [{ digest, confirmed: true }]);
  if (version) await metadata.tags.put(repo, tag(version), { digest, checkedAt: 1 });
  return digest;
}

function open(): ImagePages {
  const images = new Images(metadata, new ManifestTrees(store, metadata.blobs));
  return new ImagePages({ images, metadata });
}

function nameOf({ image, tag: version, digest }: CachedImage): string {
  return `${image.slice("reg.test/".length)}:${version ?? digest.slice(7, 11)}`;
}

async function listed(
  pages: ImagePages,
  query: Partial<ImageQuery> & { readonly order: ImageOrder },
  between: () => Promise<void> = async () => {},
): Promise<string[]> {
  const names: string[] = [];
  let after: ImageQuery["after"];
  do {
    const { images, next } = await pages.page({ limit: 2, ...query, after });
    names.push(...images.map(nameOf));
    after = next;
    await between();
  } while (after);
  return names;
}

test("images come in pages: by name with those without a tag last, or the largest or last used first", async () => {
  await add("b", "2", 400);
  await add("a", "1", 300);
  await add("a", "2", 500);
  const untagged = (await add("c", undefined, 500)).slice(7, 11);
  const pages = open();
  const byName = ["a:1", "a:2", "b:2", `c:${untagged}`];
  // Of the same size: in the order of names.
  const bySize = ["a:2", `c:${untagged}`, "b:2", "a:1"];
  expect(await listed(pages, { order: "name" })).toEqual(byName);
  expect(await listed(pages, { order: "size" })).toEqual(bySize);
  expect(await listed(pages, { order: "used" })).toEqual(bySize);
  for (const order of ["name", "size"] as const) {
    const all = order === "name" ? byName : bySize;
    expect(await listed(pages, { order, limit: 1 })).toEqual(all);
    expect(await listed(pages, { order, limit: 4 })).toEqual(all);
    const pattern = parseImagePattern("reg.test/a");
    expect(await listed(pages, { order, pattern, limit: 1 })).toEqual(
      all.filter((name) => name.startsWith("a:")),
    );
    expect(await listed(pages, { order, search: " REG.test/A:2" })).toEqual(["a:2"]);
    expect(await listed(pages, { order, search: untagged })).toEqual([`c:${untagged}`]);
  }
});

test("a list goes on where it was while images come and go", async () => {
  for (const version of ["0", "5", "9"]) await add("m", version, 300);
  const pages = open();
  let turn = 0;
  const change = async (): Promise<void> => {
    turn += 1;
    if (turn !== 1) return;
    // The last image of the first page goes, one comes before it, and one after it.
    await metadata.tags.remove(repositoryRef("reg.test", "m"), tag("5"));
    await add("m", "1", 300);
    await add("m", "7", 300);
    // What a new index leads to is no image of its own.
    const child = await add("m", undefined, 350);
    const manifests = [{ digest: child, size: 350, mediaType: OCI_MANIFEST }];
    await put("m", "index", JSON.stringify({ schemaVersion: 2, manifests }), OCI_INDEX);
  };
  const pattern = parseImagePattern("reg.test/m:*");
  const names = await listed(pages, { order: "name", pattern }, change);
  expect(names).toEqual(["m:0", "m:5", "m:7", "m:9", "m:index"]);
});

test("a first page is up to date, and the next ones need no survey", async () => {
  const pages = open();
  const survey = await pages.survey(false);
  expect(await pages.survey(false)).toBe(survey);
  await add("z", "1", 300);
  expect(await pages.survey(true)).toBe(survey);
  expect(await pages.survey(false)).not.toBe(survey);
});
