import { constants } from "node:fs";
import { access, mkdir, readdir, stat } from "node:fs/promises";
import { storageFault, systemCode } from "../storage-fault.ts";

/**
 * In bytes, of a file that may be read; `undefined` if there is no file, or something else.
 *
 * @throws Fault of kind `storage`
 */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return undefined;
    await access(path, constants.R_OK);
    return stats.size;
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw storageFault(`read ${path}`, cause);
  }
}

/**
 * The names in a folder; none if there is no such folder.
 *
 * @throws Fault of kind `storage`
 */
export async function fileNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw storageFault(`list ${folder}`, cause);
  }
}

/**
 * Creates a folder unless it exists, or cannot be looked at: a disk that fails for a moment may have it, and what is
 * stored tells otherwise.
 *
 * @throws Fault of kind `no-space` or `storage`
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) return;
  } catch (cause) {
    if (systemCode(cause) !== "ENOENT") return;
  }
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw storageFault(`create ${path}`, cause);
  });
}
