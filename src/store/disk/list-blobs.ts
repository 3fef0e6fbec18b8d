import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import type { ListedBlob } from "../blob-store.ts";
import { systemCode } from "../storage-fault.ts";
import { blobFile } from "./blob-file.ts";
import { fileNames } from "./file-facts.ts";

/**
 * All blobs of a data directory. One folder that cannot be read does not hide the others.
 *
 * @throws Fault of kind `storage` at the end, if a folder could not be read
 */
export async function* listBlobs(directory: string): AsyncGenerator<ListedBlob> {
  for await (const digest of listDigests(directory)) {
    const entry = await entryOf(digest, join(directory, blobFile(digest)));
    if (entry) yield entry;
  }
}

/**
 * What has the name of a blob in a data directory, without a look at the files. One folder that cannot be read does
 * not hide the others.
 *
 * @throws Fault of kind `storage` at the end, if a folder could not be read
 */
export async function* listDigests(directory: string): AsyncGenerator<Digest> {
  let failure: unknown;
  for (const algorithm of ["sha256", "sha512"] as const) {
    const top = join(directory, "blobs", algorithm);
    for (const folder of await fileNames(top)) {
      const names = await fileNames(join(top, folder)).catch((error: unknown) => {
        failure ??= error;
        return [];
      });
      for (const name of names) {
        const digest = parseDigest(`${algorithm}:${name}`);
        // Foreign files in the folder are not blobs.
        if (digest && join(top, folder, name) === join(directory, blobFile(digest))) yield digest;
      }
    }
  }
  if (failure !== undefined) throw failure;
}

/** `undefined` if the file is gone, or is something else. */
async function entryOf(digest: Digest, path: string): Promise<ListedBlob | undefined> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? { digest, size: stats.size, storedAt: stats.mtimeMs } : undefined;
  } catch (cause) {
    return systemCode(cause) === "ENOENT" ? undefined : { digest };
  }
}
