import { statfs } from "node:fs/promises";

/** The space of a disk, in bytes. */
export interface DiskUsage {
  /** What a user other than root can still use. */
  readonly free: number;
  /** Of the whole file system. */
  readonly size: number;
  /** What the metadata database and the sidecar files take. */
  readonly metadata?: number;
  /** Absent where the file system does not limit them, such as Btrfs. */
  readonly inodes?: Inodes;
}

/** How many files and folders a file system can hold. */
export interface Inodes {
  readonly free: number;
  readonly total: number;
}

/** Larger ones are no blocks: network file systems give the size of a request. */
const MAX_BLOCK_SIZE = 64 * 1024;

/** In how large pieces the file system that holds a path allots space to files, in bytes (statfs(2)). */
export async function blockSizeOf(path: string): Promise<number> {
  const { bsize } = await statfs(path);
  return bsize > 0 && bsize <= MAX_BLOCK_SIZE ? bsize : 4096;
}

/** The space of the file system that holds a path (statfs(2)). */
export async function diskUsage(path: string): Promise<DiskUsage> {
  const { bavail, blocks, bsize, files, ffree } = await statfs(path);
  const inodes = files > 0 ? { inodes: { free: ffree, total: files } } : {};
  return { free: bavail * bsize, size: blocks * bsize, ...inodes };
}
