import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** A blob file of the store, with the digest that its path claims. */
export interface StoredFile {
  readonly digest: string;
  readonly path: string;
  readonly size: number;
  /** Another one where the blob was removed and stored again. */
  readonly inode: number;
}

/**
 * The files in `<data>/blobs/<algorithm>/<2 hex>/<hex>`.
 * @throws Error if a file has no such path
 */
export async function storedBlobs(data: string): Promise<readonly StoredFile[]> {
  const root = join(data, "blobs");
  const files = await Promise.all(
    (await filesBelow(root)).map(async (name) => {
      const [algorithm = "", prefix = "", hex = "", ...more] = name.split("/");
      if (!hex.startsWith(prefix) || prefix.length !== 2 || more.length > 0)
        throw new Error(`${join(root, name)} does not belong in a store`);
      const path = join(root, name);
      // It may be evicted after its name was read.
      const stats = await stat(path).catch(() => undefined);
      return stats && { digest: `${algorithm}:${hex}`, path, size: stats.size, inode: stats.ino };
    }),
  );
  // A folder names its files in another order each time.
  return files
    .filter((file) => file !== undefined)
    .toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
}

/** The inodes of the stored blobs, by digest. */
export async function storedInodes(data: string): Promise<ReadonlyMap<string, number>> {
  return new Map((await storedBlobs(data)).map(({ digest, inode }) => [digest, inode]));
}

/** What the cache has moved out of the way: blobs that seemed corrupt, and a database that did. */
export async function movedAside(data: string): Promise<readonly string[]> {
  const names = await readdir(data, { recursive: true });
  return names.filter((name) => /^quarantine\/|\.damaged/.test(name));
}

/**
 * Hashes every blob file, to show that nothing unverified was stored. Returns the digests, sorted.
 * @throws Error if a file's content does not match the digest in its name
 */
export async function verifyStore(data: string): Promise<readonly string[]> {
  const digests: string[] = [];
  for (const { digest, path } of await storedBlobs(data)) {
    const algorithm = digest.slice(0, digest.indexOf(":"));
    if (algorithm !== "sha256" && algorithm !== "sha512")
      throw new Error(`${path}: ${algorithm} is not a supported digest algorithm`);
    const hasher = new Bun.CryptoHasher(algorithm);
    for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
    const found = `${algorithm}:${hasher.digest("hex")}`;
    if (found !== digest) throw new Error(`${path} holds ${found}`);
    digests.push(digest);
  }
  return digests.sort();
}

/** The partial files of unfinished fills in `<data>/fills`. */
export function unfinishedFills(data: string): Promise<readonly string[]> {
  return filesBelow(join(data, "fills"));
}

/** The paths of all files below a folder, relative to it; empty if it does not exist. */
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
