import { dirname, join } from "node:path";
import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";

/** The file of a blob, below the data directory. */
export function blobFile(digest: Digest): string {
  const hex = digestHex(digest);
  return join("blobs", digestAlgorithm(digest), hex.slice(0, 2), hex);
}

/** The folder in a data directory that holds a blob's file. It may be removed while it is empty. */
export function blobFolder(directory: string, digest: Digest): string {
  return join(directory, dirname(blobFile(digest)));
}

/** The blob whose file could not be opened, by the error of that. */
export function unopenedBlob(error: Error): Digest | undefined {
  if (!("path" in error) || typeof error.path !== "string") return undefined;
  const [algorithm, , hex] = error.path.split("/").slice(-3);
  return parseDigest(`${algorithm}:${hex}`);
}
