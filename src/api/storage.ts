import { z } from "zod";

/** What the store holds and may hold. */
export const storageFields = {
  dataDirectory: z.string(),
  blobs: z.int().describe("how many complete blobs are stored"),
  blobBytes: z.number().describe("the sum of the sizes of complete blobs, in bytes"),
  blobDiskBytes: z
    .number()
    .describe("what complete blobs take on the disk: whole blocks, in bytes"),
  partialBytes: z
    .number()
    .describe("of downloads in progress and of suspended partial downloads on the disk, in bytes"),
  databaseBytes: z
    .number()
    .describe("of the metadata database, with its write-ahead log, in bytes"),
  sidecarBytes: z.number().describe("of the sidecar files on the disk, in bytes"),
  usedBytes: z
    .number()
    .describe("what all of these take on the disk, in bytes. It counts towards `maxSize`"),
  pinnedBytes: z.number(),
  maxSize: z.number(),
  minFree: z.number(),
  isFull: z.boolean(),
};

export const storageSchema = z
  .object({ version: z.string().describe("of the cache"), ...storageFields })
  .meta({ id: "Storage" });
