import type { FailedFile } from "./failed-files.ts";

/** What became of a folder. */
export interface Adopted {
  /** Blobs that were added to the store, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  /** How many of them are hard links, and so share their disk space with the folder. */
  readonly linked: number;
  /** Blobs that were stored already. */
  readonly known: number;
  /** Blobs that were skipped because they do not match their digest. */
  readonly corrupt: number;
  /** Files and folders that were left out because they could not be read, or not be stored. */
  readonly failed: number;
  /** The first 100 of them. */
  readonly failures: readonly FailedFile[];
  /** What of the folder is cached now, also from before. */
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
  /** Blobs that were skipped because they do not fit within the limits of the store. */
  readonly omitted: number;
  /** Symbolic links that lead out of the folder, and were not followed. */
  readonly outside: number;
}
