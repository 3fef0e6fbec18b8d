import { lchownSync, lstatSync, readdirSync } from "node:fs";
import path from "node:path";

/** Whom a directory belongs to, where root uses it and another user does otherwise. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export function nonRootOwner(directory: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = lstatSync(directory);
  return uid === 0 ? undefined : { uid, gid };
}

/** Gives what root made in somebody's directory to that user, who could not read it otherwise. */
export function changeOwner(directory: string, { uid, gid }: Owner): void {
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    const file = path.join(directory, name);
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats?.uid !== 0) continue;
    // A file of several names is somebody else's as well, such as what was adopted without a copy.
    if (stats.isDirectory() || (stats.isFile() && stats.nlink === 1)) lchownSync(file, uid, gid);
  }
}
