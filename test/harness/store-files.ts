import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** A file of the store: its place says what it claims to be. */
export interface StoredFile {
  readonly digest: string;
  readonly path: string;
  readonly size: number;
}

/** What lies in `<data>/blobs/<algorithm>/<2 hex>/<hex>`. */
export async function storedBlobs(data: string): Promise<readonly StoredFile[]> {
  const root = join(data, "blobs");
  const files = await filesBelow(root);
  return Promise.all(
    files.map(async (name) => {
      const [algorithm = "", prefix = "", hex = "", ...more] = name.split("/");
      if (!hex.startsWith(prefix) || prefix.length !== 2 || more.length > 0)
        throw new Error(`${join(root, name)} does not belong into a store`);
      const path = join(root, name);
      return { digest: `${algorithm}:${hex}`, path, size: (await Bun.file(path).stat()).size };
    }),
  );
}

/**
 * Reads every stored byte and throws where a file is not what its name says: nothing unverified was
 * stored. Returns the digests, sorted.
 */
export async function verifyStore(data: string): Promise<readonly string[]> {
  const digests: string[] = [];
  for (const { digest, path } of await storedBlobs(data)) {
    const algorithm = digest.slice(0, digest.indexOf(":"));
    if (algorithm !== "sha256" && algorithm !== "sha512")
      throw new Error(`${path}: ${algorithm} is no algorithm of a digest`);
    const hasher = new Bun.CryptoHasher(algorithm);
    for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
    const found = `${algorithm}:${hasher.digest("hex")}`;
    if (found !== digest) throw new Error(`${path} holds ${found}`);
    digests.push(digest);
  }
  return digests.sort();
}

/** Files of fills that have not come to their end, `<data>/fills`. */
export function unfinishedFills(data: string): Promise<readonly string[]> {
  return filesBelow(join(data, "fills"));
}

/** Paths relative to a folder; none where it is not there. */
async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
