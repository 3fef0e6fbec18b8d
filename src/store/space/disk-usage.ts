import type { StatsFs } from "node:fs";
import { statfs } from "node:fs/promises";
import { storageFault } from "../storage-fault.ts";

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

/**
 * In how large pieces the file system that holds a path allots space to files, in bytes (statfs(2)).
 *
 * @throws Fault of kind `storage`
 */
export async function blockSizeOf(path: string): Promise<number> {
  const { bsize } = await measure(path);
  return bsize > 0 && bsize <= MAX_BLOCK_SIZE ? bsize : 4096;
}

/**
 * The space of the file system that holds a path (statfs(2)).
 *
 * @throws Fault of kind `storage`
 */
export async function diskUsage(path: string): Promise<DiskUsage> {
  const { bavail, blocks, bsize, files, ffree } = await measure(path);
  const inodes = files > 0 ? { inodes: { free: ffree, total: files } } : {};
  return { free: bavail * bsize, size: blocks * bsize, ...inodes };
}

async function measure(path: string): Promise<StatsFs> {
  try {
    return await statfs(path);
  } catch (cause) {
    throw storageFault(`measure the disk of ${path}`, cause);
  }
}
