import { z } from "zod";
import { hiddenField } from "./page.ts";
import { jobOf } from "./jobs.ts";

/** How many images an order may name. */
const MAX_IMAGES = 10_000;

const downloaded = z.object({ blobs: z.int(), bytes: z.number() });

export const warmedImageSchema = z
  .object({
    image: z.string(),
    state: z
      .enum(["ready", "failed", "uncached"])
      .describe("`ready`: all of it is stored; `uncached`: the configuration keeps it from that"),
    digest: z.string().optional(),
    platforms: z.array(z.string()).optional().describe("those that were fetched"),
    bytes: z.number().optional().describe("of its configs and layers"),
    downloaded: downloaded.optional().describe("what of it had to be downloaded"),
    stale: z
      .string()
      .optional()
      .describe("why its tag could not be checked: it is as it was known before"),
    reason: z.string().optional().describe("why it is not ready"),
  })
  .meta({ id: "WarmedImage" });

export type WarmedImage = z.infer<typeof warmedImageSchema>;

export const warmResultSchema = z
  .object({
    images: z.int(),
    ready: z.int(),
    failed: z.int(),
    uncached: z.int(),
    downloaded,
    cut: z
      .array(z.object({ images: z.string(), matching: z.int() }))
      .describe("ranges of versions that match more tags than were taken"),
    items: z.array(warmedImageSchema).describe("500 at most, those that failed first"),
  })
  .meta({ id: "WarmResult" });

export type WarmResult = z.infer<typeof warmResultSchema>;

export const warmOrderSchema = z
  .strictObject({
    images: z
      .array(z.string().max(700))
      .max(MAX_IMAGES)
      .default([])
      .describe(
        "Images, ranges of versions and patterns of tags: `nginx`, `docker.io/library/node:>=22 <25`, `quay.io/org/app:release-*`",
      ),
    from: z
      .array(z.enum(["cluster", "pulls", "lists"]))
      .default([])
      .describe("Sources of further images: those that `GET /readiness` knows"),
    platforms: z
      .array(z.string().max(100))
      .max(32)
      .default([])
      .describe("Such as `linux/arm64`, or `all`. Default: those that are in use here"),
    referrers: z.boolean().default(false).describe("Signatures, SBOMs and attestations, too"),
    pin: z.boolean().default(false).describe("Whether each image is pinned"),
    max: z
      .int()
      .min(1)
      .max(1000)
      .default(20)
      .describe("How many images a range of versions may select: the highest versions"),
  })
  .meta({ id: "WarmOrder" });

export type WarmOrderRequest = z.infer<typeof warmOrderSchema>;

export const warmJobSchema = jobOf("WarmJob", warmResultSchema);

export const warmListsSchema = z
  .object({
    items: z.array(
      z
        .object({
          name: z.string(),
          images: z.array(z.string()).describe("as they are configured"),
          from: z.array(z.string()),
          platforms: z.array(z.string()).describe("empty for those in use"),
          referrers: z.boolean(),
          pin: z.boolean(),
          schedule: z.string(),
          timezone: z.string().optional(),
          nextAt: z.number().describe("milliseconds since the epoch"),
          job: z.string().optional().describe("the last job that warmed it"),
        })
        .meta({ id: "WarmList" }),
    ),
    hidden: hiddenField,
  })
  .meta({ id: "WarmLists" });

export type WarmListState = z.infer<typeof warmListsSchema>["items"][number];
