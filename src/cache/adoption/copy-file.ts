import { constants } from "node:fs";
import { chmod, copyFile, type FileHandle, open, rename } from "node:fs/promises";
import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import { removeFile } from "../../store/remove-file.ts";

/** Bytes per read. */
const BUFFER_BYTES = 1024 * 1024;

/**
 * Copies a file under a temporary name, and verifies the copy before it is renamed. Returns whether it has
 * the digest: the registry may have written to the file meanwhile.
 *
 * @param onRead called after each read of the copy
 */
export async function copyVerified(
  digest: Digest,
  from: string,
  { temporary, to }: { readonly temporary: string; readonly to: string },
  onRead: () => void,
): Promise<boolean> {
  try {
    await copyFile(from, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    // The copy has the mode of the original, which may keep even its owner from reading it.
    await chmod(temporary, 0o600);
    const file = await open(temporary, "r+");
    let isMatch: boolean;
    try {
      await file.datasync();
      isMatch = await matchesDigest(digest, file, onRead);
    } finally {
      await file.close();
    }
    if (isMatch) await rename(temporary, to);
    else await removeFile(temporary);
    return isMatch;
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}

/** @param onRead called with the number of bytes of each read */
export async function matchesDigest(
  digest: Digest,
  file: FileHandle,
  onRead: (bytes: number) => void,
): Promise<boolean> {
  const hasher = newHasher(digest);
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, BUFFER_BYTES, null);
    if (bytesRead === 0) return hasher.digest("hex") === digestHex(digest);
    hasher.update(buffer.subarray(0, bytesRead));
    onRead(bytesRead);
  }
}
