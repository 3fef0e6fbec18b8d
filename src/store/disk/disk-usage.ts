import { statfs } from "node:fs/promises";

/** What a disk has for this process, in bytes. */
export interface DiskUsage {
  readonly free: number;
  readonly size: number;
  /** What is kept beside contents: facts, and the index. */
  readonly metadata?: number;
}

/** What the disk under a path has left for who is not root. */
export async function diskUsage(path: string): Promise<DiskUsage> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { free: bavail * bsize, size: blocks * bsize };
}
