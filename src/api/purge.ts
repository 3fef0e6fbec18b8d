import { z } from "zod";
import { jobOf } from "./jobs.ts";
import { patternField } from "./pins.ts";
import { reachField } from "./replicas.ts";

/** How many images a purge names. */
export const MAX_NAMED = 1000;

export const purgeSchema = z.strictObject({ pattern: patternField }).meta({ id: "Purge" });

const purgedFields = {
  images: z
    .array(z.string())
    .describe(`the images, such as \`docker.io/library/nginx:1\`: the first ${MAX_NAMED}`),
  count: z.int().describe("how many images there are in all"),
  blobs: z.int().describe("those that only they use, and that go with them"),
  bytes: z.number().describe("of these blobs"),
  shared: z.int().describe("how many blobs stay, because other images use them"),
  busy: z
    .int()
    .describe("how many blobs stay until they are evicted, because they are downloaded or read"),
};

export const purgePreviewSchema = z
  .object({ ...purgedFields, ...reachField })
  .meta({ id: "PurgePreview" });
export type PurgePreview = z.infer<typeof purgePreviewSchema>;

export const purgedSchema = z.object({ ...purgedFields, ...reachField }).meta({ id: "Purged" });
export type Purged = z.infer<typeof purgedSchema>;

export const purgeJobSchema = jobOf("PurgeJob", purgedSchema);
