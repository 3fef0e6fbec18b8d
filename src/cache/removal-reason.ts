/**
 * Why a blob was removed: `max-size` to stay below `storage.maxSize` or keep `storage.minFree` free,
 * `inodes` because the file system has few left,
 * `quota` and `age` for an upstream's `maxSize` and `maxAge`, `purge` on an operator's command,
 * `corrupt` because its bytes do not match its digest, `unreadable` because the disk cannot read them.
 */
export const REMOVAL_REASONS = [
  "max-size",
  "inodes",
  "quota",
  "age",
  "purge",
  "corrupt",
  "unreadable",
] as const;

export type RemovalReason = (typeof REMOVAL_REASONS)[number];
