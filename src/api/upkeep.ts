import { z } from "zod";
import { jobOf } from "./jobs.ts";

export const evictedSchema = z
  .object({ blobs: z.int(), bytes: z.number() })
  .meta({ id: "Evicted" });
export type Evicted = z.infer<typeof evictedSchema>;
export const gcJobSchema = jobOf("GcJob", evictedSchema);

export const verificationSchema = z
  .strictObject({
    repair: z
      .boolean()
      .default(false)
      .describe("whether metadata is corrected. Corrupt blobs are quarantined in any case"),
    rate: z.int().min(1).optional().describe("bytes to read per second; 100 MiB by default"),
  })
  .meta({ id: "Verification" });

const verifiedFields = {
  files: z.int().describe("how many were read"),
  bytes: z.number(),
  corrupt: z.array(z.string()).describe("digests: the first 1000"),
  unreadable: z
    .array(z.object({ digest: z.string(), reason: z.string() }))
    .describe("the first 1000; they stay where they are, and were not verified"),
  found: z.int().describe("how many had no record"),
  lost: z.int().describe("how many records had nothing stored"),
  repaired: z.boolean(),
};

/** Of blobs, and of objects in the store that replicas share. */
export const verifiedSchema = z.object(verifiedFields).meta({ id: "Verified" });
export type Verified = z.infer<typeof verifiedSchema>;

export const fsckJobSchema = jobOf("FsckJob", verifiedSchema);
