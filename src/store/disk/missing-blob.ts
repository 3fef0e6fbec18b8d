import { type Digest, parseDigest } from "../../oci/digest.ts";
import { systemCode } from "../storage-fault.ts";

/**
 * The blob whose file was missing when it was to be opened, by the error of that; `undefined` for any
 * other error, and if the blob is stored again by now. The file of a response is opened only when
 * it is sent, so this is how a file that another process removed is noticed.
 */
export async function missingBlob(error: unknown): Promise<Digest | undefined> {
  const isMissing = error instanceof Error && systemCode(error) === "ENOENT" && "path" in error;
  if (!isMissing || typeof error.path !== "string") return undefined;
  const [algorithm, , hex] = error.path.split("/").slice(-3);
  const digest = parseDigest(`${algorithm}:${hex}`);
  // It may have been evicted, and stored again since.
  return digest && !(await Bun.file(error.path).exists()) ? digest : undefined;
}
