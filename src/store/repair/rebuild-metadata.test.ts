import { expect, test } from "bun:test";
import { rename, rm, symlink } from "node:fs/promises";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import type { Digest } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { blobFile } from "../disk/blob-file.ts";
import { openDiskBlobStore } from "../disk/disk-blob-store.ts";
import { SidecarFiles } from "../sidecars/sidecar-files.ts";
import { openMetadata } from "../sql/open-metadata.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { storeBytes } from "../storetest/writing.ts";
import { rebuildMetadata, restoreFromSidecars } from "./rebuild-metadata.ts";

const app = repositoryRef("reg.test", "app");
const layer = digestNumber(9);

/** Replaces a file by a link to itself, which nobody can open, until it is called again. */
function toggle(dir: TempDir, path: string): () => Promise<void> {
  let isAside = false;
  return async () => {
    if (isAside) await rename(dir.file("aside"), path);
    else {
      await rename(path, dir.file("aside"));
      await symlink(path, path);
    }
    isAside = !isAside;
  };
}

function manifestOf(text: string): Buffer {
  const blob = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layer, size: 5 };
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: layer, size: 5 };
  const annotations = { text };
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [blob] };
  return Buffer.from(JSON.stringify({ ...manifest, annotations }));
}

const files: Record<string, (digest: Digest) => string> = {
  "sidecar file": (digest) => `${blobFile(digest).replace("blobs/", "sidecars/")}.json`,
  manifest: blobFile,
};

for (const [what, file] of Object.entries(files)) {
  test(`a ${what} that cannot be read keeps nothing else from being rebuilt, and is restored later`, async () => {
    await using dir = await tempDir("rebuild");
    const store = await openDiskBlobStore(dir.path);
    const sidecars = new SidecarFiles(dir.path);
    const digests = [];
    for (const name of ["one", "two"]) {
      const digest = await storeBytes(store, manifestOf(name));
      await sidecars.record(digest, { mediaType: OCI_MANIFEST, repo: app, tag: tag(name), at: 1 });
      digests.push(digest);
    }
    const [bad] = digests;
    if (!bad) throw new Error("there are two digests");
    const toggleFile = toggle(dir, dir.file(file(bad)));
    await toggleFile();
    const metadata = await openMetadata(":memory:");
    // By a process that has cached neither sizes nor sidecars.
    const options = {
      store: await openDiskBlobStore(dir.path),
      metadata,
      sidecars: new SidecarFiles(dir.path),
    };
    expect(await rebuildMetadata(options)).toMatchObject({ unreadable: 1 });
    expect(await metadata.tags.list(app)).toContain(tag("two"));
    const { signal } = new AbortController();
    expect(await restoreFromSidecars(options, signal)).toMatchObject({ unreadable: 1 });
    await rm(dir.file(file(bad)));
    await toggleFile();
    expect(await restoreFromSidecars(options, signal)).toMatchObject({ unreadable: 0 });
    expect(new Set(await metadata.tags.list(app))).toEqual(new Set([tag("one"), tag("two")]));
    expect(new Set(await metadata.links.digests(9))).toEqual(new Set([...digests, layer]));
    await metadata.close();
  });
}
