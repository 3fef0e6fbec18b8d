import { expect, test } from "bun:test";
import { link, lstat, lchown, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { openDataDirectory } from "./data-directory.ts";

test.skipIf(process.getuid?.() !== 0)(
  "files that root created in another user's data directory belong to that user after it was closed",
  async () => {
    await using folder = await tempDir("owned");
    const data = folder.file("data");
    await mkdir(data);
    await lchown(data, 4321, 4322);
    const foreign = folder.file("registry");
    await writeFile(foreign, "adopted", { mode: 0o644 });

    const directory = await openDataDirectory(data);
    await mkdir(path.join(data, "blobs/sha256"), { recursive: true, mode: 0o700 });
    await writeFile(path.join(data, "blobs/sha256/own"), "copied", { mode: 0o600 });
    await link(foreign, path.join(data, "blobs/sha256/shared"));
    await symlink(foreign, path.join(data, "elsewhere"));
    await directory.close();

    const ownerOf = async (name: string): Promise<string> => {
      const { uid, gid } = await lstat(path.join(data, name));
      return `${name} ${uid}:${gid}`;
    };
    const names = ["lock", "format", "blobs", "blobs/sha256", "blobs/sha256/own"];
    const shared = ["blobs/sha256/shared", "elsewhere"];
    expect(await Promise.all([...names, ...shared].map(ownerOf))).toEqual([
      ...names.map((name) => `${name} 4321:4322`),
      ...shared.map((name) => `${name} 0:0`),
    ]);
  },
);
