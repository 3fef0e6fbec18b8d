import { mkdir, open } from "node:fs/promises";
import { mustRun } from "../processes.ts";
import { tempDir } from "../temp-dir.ts";

export interface Ext4Image extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
}

/** A real ext4 file system in a file, mounted until disposal: for root only. */
export async function mountExt4(size: number, inodes: number): Promise<Ext4Image> {
  const dir = await tempDir("ext4");
  const [image, path] = [dir.file("image"), dir.file("mount")];
  try {
    await using file = await open(image, "w");
    await file.truncate(size);
    await mkdir(path);
    await mustRun(["mkfs.ext4", "-q", "-N", String(inodes), image]);
    await mustRun(["mount", "-o", "loop", image, path]);
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      await mustRun(["umount", "-l", path]);
      await dir[Symbol.asyncDispose]();
    },
  };
}
