import { statfs } from "node:fs/promises";

/** The space of a disk, in bytes. */
export interface DiskUsage {
  /** What a user other than root can still use. */
  readonly free: number;
  /** Of the whole file system. */
  readonly size: number;
  /** What the metadata database and the sidecar files take. */
  readonly metadata?: number;
}

/** The space of the file system that holds a path (statfs(2)). */
export async function diskUsage(path: string): Promise<DiskUsage> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { free: bavail * bsize, size: blocks * bsize };
}
