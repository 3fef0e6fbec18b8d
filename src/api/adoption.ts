import { z } from "zod";
import { jobOf } from "./jobs.ts";

export const adoptionSchema = z
  .strictObject({
    folder: z
      .string()
      .max(4096)
      .startsWith("/")
      .describe("of a registry:2, on the machine of the cache: what contains `docker`"),
    upstream: z.string().max(300).describe("as images carry it, such as `ghcr.io`"),
    shared: z
      .boolean()
      .optional()
      .describe("whether a folder is adopted that was adopted for another upstream, too"),
    link: z
      .boolean()
      .optional()
      .describe("whether files are shared with the folder instead of copied"),
  })
  .meta({ id: "Adoption" });

export const adoptedSchema = z
  .object({
    blobs: z.int().describe("how many were added to the store"),
    bytes: z.number(),
    linked: z.int().describe("how many of them share their disk space with the folder"),
    known: z.int().describe("blobs that were stored already"),
    corrupt: z.int().describe("blobs that were skipped because they do not match their digest"),
    failed: z
      .int()
      .describe("files and folders that were left out because they could not be read or stored"),
    failures: z
      .array(z.object({ path: z.string(), reason: z.string() }))
      .describe("the first 100 of them"),
    repositories: z.int(),
    tags: z.int(),
    manifests: z.int(),
    omitted: z
      .int()
      .describe("blobs that were skipped because they do not fit within the limits of the store"),
    outside: z.int().describe("symbolic links that lead out of the folder, and were not followed"),
  })
  .meta({ id: "Adopted" });

export const adoptJobSchema = jobOf("AdoptJob", adoptedSchema);
