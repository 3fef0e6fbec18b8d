import {
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { systemCode } from "../storage-fault.ts";

/** The owner of a directory that a user other than root normally works in. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The layout of the store has 4 levels. A deeper one is somebody's else. */
const MAX_DEPTH = 8;

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** The owner of a directory, if this process runs as root and the directory is another user's. */
export function nonRootOwner(directory: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  // A link that root made leads where root wants it to. One of another user is reported as that user's.
  const link = lstatSync(directory, { throwIfNoEntry: false });
  const stats =
    link?.isSymbolicLink() && link.uid === 0
      ? statSync(directory, { throwIfNoEntry: false })
      : link;
  return !stats || stats.uid === 0 ? undefined : { uid: stats.uid, gid: stats.gid };
}

/** The user to whom what this process stores in a directory belongs, at the latest when it is closed. */
export function ownerOfFiles(directory: string): Owner {
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  return nonRootOwner(directory) ?? own;
}

/**
 * The first thing in a directory that is neither a file nor a directory, such as a symbolic link: its
 * path, which may be that of the directory itself. Nothing is followed.
 */
export function findIrregular(directory: string, depth = 0): string | undefined {
  if (depth === 0 && isLinkOfAnotherUser(directory)) return directory;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const file = path.join(directory, entry.name);
    if (entry.isFile()) continue;
    // Some file systems do not say in the entry what it is.
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (!stats || stats.isFile()) continue;
    if (!stats.isDirectory()) return file;
    const found = depth < MAX_DEPTH ? findIrregular(file, depth + 1) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function isLinkOfAnotherUser(directory: string): boolean {
  const stats = lstatSync(directory);
  return stats.isSymbolicLink() && stats.uid !== 0;
}

/**
 * Gives everything in a directory that root owns to another user, so that the cache can use it when
 * it runs as that user again.
 *
 * That user may replace anything in it meanwhile, so what is changed is what was opened and looked at,
 * by its descriptor. Links are neither followed nor changed.
 */
export function changeOwner(directory: string, owner: Owner): void {
  changeBelow(realpathSync(directory), owner, 0);
}

function changeBelow(directory: string, owner: Owner, depth: number): void {
  withDescriptor(directory, O_DIRECTORY, (descriptor) => {
    if (depth > 0 && fstatSync(descriptor).uid === 0) fchownSync(descriptor, owner.uid, owner.gid);
    // The path of the descriptor stays this directory's, wherever its name leads by now.
    const byDescriptor = `/proc/self/fd/${descriptor}`;
    const base = existsSync(byDescriptor) ? byDescriptor : directory;
    for (const name of readdirSync(base)) {
      const file = path.join(base, name);
      const stats = lstatSync(file, { throwIfNoEntry: false });
      if (stats?.isDirectory() && depth < MAX_DEPTH) changeBelow(file, owner, depth + 1);
      else if (stats && isOwnFile(stats)) changeFile(file, owner);
    }
  });
}

function changeFile(file: string, owner: Owner): void {
  withDescriptor(file, O_NONBLOCK, (descriptor) => {
    if (isOwnFile(fstatSync(descriptor))) fchownSync(descriptor, owner.uid, owner.gid);
  });
}

/**
 * Whether root owns a file that has no other name. A file with several hard links also belongs to
 * another folder: for example to the registry:2 folder from which `entrepot adopt` linked it.
 */
function isOwnFile(stats: { isFile(): boolean; uid: number; nlink: number }): boolean {
  return stats.isFile() && stats.uid === 0 && stats.nlink === 1;
}

/** Does nothing if the path leads to something else by now, or to nothing. */
function withDescriptor(file: string, flags: number, work: (descriptor: number) => void): void {
  let descriptor: number;
  try {
    descriptor = openSync(file, O_RDONLY | O_NOFOLLOW | flags);
  } catch (error) {
    if (["ENOENT", "ELOOP", "ENOTDIR", "ENXIO"].includes(systemCode(error) ?? "")) return;
    throw error;
  }
  try {
    work(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
