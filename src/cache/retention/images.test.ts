import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { blobFile } from "../../store/disk/blob-file.ts";
import { openDiskBlobStore } from "../../store/disk/disk-blob-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { Images } from "./images.ts";
import { ManifestTrees } from "./manifest-trees.ts";

test("an image whose manifest is stored and cannot be read is listed", async () => {
  await using dir = await tempDir("images");
  const store = await openDiskBlobStore(dir.path);
  const metadata = await openMetadata(":memory:");
  const bytes = Buffer.from('{"schemaVersion":2}');
  const digest = await storeBytes(store, bytes);
  const size = bytes.byteLength;
  await metadata.blobs.put({ digest, size, mediaType: OCI_MANIFEST }, 7);
  await metadata.tags.put(repositoryRef("reg.test", "app"), tag("1"), { digest, checkedAt: 7 });
  await rm(join(dir.path, blobFile(digest)));
  const images = new Images(metadata, new ManifestTrees(store, metadata.blobs));
  expect(await Array.fromAsync(images.list())).toEqual([
    {
      image: "reg.test/app",
      tag: "1",
      digest,
      platforms: [],
      partial: [],
      size,
      shared: 0,
      lastUsed: 7,
    },
  ]);
  await metadata.close();
});
