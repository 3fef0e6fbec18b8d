import type { DataDirectory } from "../directory/data-directory.ts";
import type { DirectoryWatch, Watched } from "../directory/directory-watch.ts";
import type { DiskBlobStore } from "../disk/disk-blob-store.ts";
import type { SidecarFiles } from "../sidecars/sidecar-files.ts";
import type { SelfHealingMetadata } from "./self-healing-metadata.ts";

export interface VanishedFilesOptions {
  readonly directory: DataDirectory;
  readonly watch: DirectoryWatch;
  readonly blobs: DiskBlobStore;
  readonly sidecars: SidecarFiles;
  readonly metadata: SelfHealingMetadata;
}

/**
 * Makes files and folders again that somebody removed from an open data directory. Where another
 * directory is in its place, such as that of a volume which was mounted late, the store goes on there.
 *
 * @throws Error if that is not possible. It may be tried again
 */
export async function restoreVanished({
  directory,
  watch,
  blobs,
  sidecars,
  metadata,
}: VanishedFilesOptions): Promise<readonly Watched[]> {
  const vanished = await watch.vanished();
  if (vanished.length === 0) return [];
  // First: without the lock, another process may be using what is there by now.
  if (vanished.includes("lock")) await directory.relock();
  await blobs.foldersVanished();
  sidecars.forget();
  if (vanished.includes("metadata.db")) await metadata.reopen();
  watch.note("", "lock", "blobs", "fills", "sidecars");
  return vanished;
}
