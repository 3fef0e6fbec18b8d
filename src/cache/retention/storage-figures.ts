/** Figures of the store. Sizes are in bytes. */
export interface StorageFigures {
  /** How many complete blobs are stored. */
  readonly blobs: number;
  /** The sum of their sizes. */
  readonly blobBytes: number;
  /** What they take on the disk: whole blocks. */
  readonly blobDiskBytes: number;
  /** Of downloads in progress, and of suspended partial downloads, on the disk. */
  readonly partialBytes: number;
  /** Of the metadata database, with its write-ahead log. */
  readonly databaseBytes: number;
  /** Of the sidecar files, on the disk. */
  readonly sidecarBytes: number;
  /** What the store takes on the disk. */
  readonly usedBytes: number;
  readonly maxSize: number;
  readonly minFree: number;
  /** Of all blobs that pins keep, whether they are stored or not. */
  readonly pinnedBytes: number;
  /** Whether the disk is full, so that pulls are served without being stored. */
  readonly isFull: boolean;
}
