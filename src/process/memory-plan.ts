const MIB = 1024 * 1024;

/**
 * What the memory that this process may use is divided into, in bytes. What is not in here takes about 110 MiB:
 * the program itself, and what is bounded by numbers and not by bytes (docs/explanation/decisions.md).
 */
export interface MemoryPlan {
  /** All of it. */
  readonly limit: number;
  /** What JavaScriptCore is told the machine has: the more, the later it collects garbage. */
  readonly heapBasis: number;
  /** Bytes of blobs that were received and are not written yet. */
  readonly received: number;
  /** Bytes of a download after which a sync starts. The kernel cannot free them before. */
  readonly unsynced: number;
  /** How many blobs are downloaded at once; the others wait. */
  readonly downloads: number;
  /** Manifests, as bytes and parsed. */
  readonly manifests: number;
  /** Lists of tags and referrers. */
  readonly lists: number;
  readonly smallBlobs: number;
  readonly responses: number;
}

/** @param limit bytes that this process may use */
export function memoryPlan(limit: number): MemoryPlan {
  // All caches together: 8 MiB of 128 MiB, 24 MiB of 192 MiB.
  const caches = between(8 * MIB, limit / 4 - 24 * MIB, 24 * MIB);
  return {
    limit,
    // With more, garbage of downloads takes more; with less, it is collected so often that pulls become slow.
    heapBasis: 48 * MIB,
    received: between(2 * MIB, limit / 32, 4 * MIB),
    unsynced: between(MIB, limit / 64, 16 * MIB),
    // A download takes a mebibyte at most. More of them do not fill a line any better.
    downloads: between(16, limit / MIB - 64, 64),
    manifests: Math.floor(caches / 3),
    lists: Math.floor(caches / 3),
    smallBlobs: Math.floor(caches / 4),
    responses: Math.floor(caches / 12),
  };
}

/** Whether downloads may have a thread of their own, which takes 5 to 10 MiB. */
export function hasRoomForThread(limit: number): boolean {
  return limit >= 192 * MIB;
}

function between(least: number, value: number, most: number): number {
  return Math.floor(Math.min(most, Math.max(least, value)));
}
