import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { blobFile } from "../disk/blob-file.ts";
import { openDiskBlobStore } from "../disk/disk-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { digestNumber } from "../storetest/sample-names.ts";
import { storeBytes } from "../storetest/writing.ts";
import { scrub } from "./scrub.ts";

test("a blob whose file cannot be looked at is reported as unreadable", async () => {
  const directory = await mkdtemp(join(tmpdir(), "entrepot-scrub-"));
  try {
    const store = await openDiskBlobStore(directory);
    await storeBytes(store, sampleBytes(1000));
    const bad = digestNumber(1);
    const path = join(directory, blobFile(bad));
    await mkdir(dirname(path), { recursive: true });
    await symlink(path, path);
    expect(await scrub({ store })).toEqual({
      files: 2,
      bytes: 1000,
      corrupt: [],
      unreadable: [{ digest: bad, reason: expect.stringContaining("(ELOOP)") }],
    });
  } finally {
    await rm(directory, { recursive: true });
  }
});
