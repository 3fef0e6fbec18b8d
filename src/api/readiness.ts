import { z } from "zod";
import { pageOf } from "./page.ts";

const moment = z.number().describe("milliseconds since the epoch");

const images = z.array(z.string().max(700)).max(1000);
const platforms = z.array(z.string().max(100)).max(32).default([]);

export const wantedImageSchema = z
  .object({
    image: z.string(),
    wantedBy: z.array(z.string()).describe("who wants it; ten at most"),
    state: z
      .enum(["ready", "partial", "missing", "uncached"])
      .describe(
        "`ready`: all of it is here; `partial`: some of its blobs are missing; `missing`: nothing is known of it; `uncached`: this cache does not store it",
      ),
    platforms: z.array(z.string()).describe("those that were looked at"),
    digest: z.string().optional().describe("what its tag points to"),
    missing: z
      .object({ blobs: z.int(), bytes: z.number() })
      .optional()
      .describe("as far as it is known"),
    servedUntil: moment
      .optional()
      .describe(
        "until when its tag is served while its registry does not answer; absent: without limit",
      ),
    pinned: z.boolean().optional().describe("whether it is kept, however little it is used"),
    reason: z.string().optional().describe("why it is not ready"),
  })
  .meta({ id: "WantedImage" });

export type WantedImageState = z.infer<typeof wantedImageSchema>;

const countsFields = {
  wanted: z.int(),
  ready: z.int(),
  ratio: z
    .number()
    .describe("ready of wanted; 1 where nothing is wanted, and 0 where that is not known"),
};

export const readinessSchema = z
  .object({
    checkedAt: moment,
    ...countsFields,
    uncached: z
      .int()
      .describe("images that this cache does not store, which are not among those that are wanted"),
    sentence: z.string().describe("what would happen if a registry died now"),
    upstreams: z.array(z.object({ name: z.string(), ...countsFields })),
    sources: z
      .array(
        z.object({
          name: z.string(),
          images: z.int(),
          problem: z
            .string()
            .optional()
            .describe("why it could not be read: what it said last still counts"),
          unread: z
            .boolean()
            .optional()
            .describe("whether it was never read: what it wants is not known"),
        }),
      )
      .describe("where it is known from what is wanted"),
    cut: z.int().optional().describe("how many wanted images were not looked at"),
    ...pageOf(wantedImageSchema),
  })
  .meta({ id: "Readiness" });

export type ReadinessPage = z.infer<typeof readinessSchema>;
/** All pages as one. */
export type ReadinessReport = Omit<ReadinessPage, "next">;

export const readinessQuestionSchema = z
  .strictObject({
    images: images.min(1),
    platforms: platforms.describe("Such as `linux/arm64`. Default: those in use here"),
  })
  .meta({ id: "ReadinessQuestion" });

export const readinessFixSchema = z
  .strictObject({
    images: images
      .default([])
      .describe("Which ones; all that are wanted and not ready, if it is empty"),
    platforms: platforms.describe(
      "Such as `linux/arm64`. Default: for which each is wanted, or those in use here",
    ),
  })
  .meta({ id: "ReadinessFix" });
