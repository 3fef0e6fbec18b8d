import { lchownSync, lstatSync, readdirSync } from "node:fs";
import path from "node:path";

/** The owner of a directory that a user other than root normally works in. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The owner of a directory, if this process runs as root and the directory is another user's. */
export function nonRootOwner(directory: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = lstatSync(directory);
  return uid === 0 ? undefined : { uid, gid };
}

/**
 * Gives everything in a directory that root owns to another user, so that the cache can use it when
 * it runs as that user again.
 */
export function changeOwner(directory: string, { uid, gid }: Owner): void {
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const file = path.join(directory, name);
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats?.uid !== 0) continue;
    // A file with several hard links also belongs to another folder: for example to the registry:2
    // folder from which `entrepot adopt` linked it.
    if (stats.isDirectory() || (stats.isFile() && stats.nlink === 1)) lchownSync(file, uid, gid);
  }
}
