import { z } from "zod";
import { hiddenField } from "./page.ts";

const moment = z.number().describe("milliseconds since the epoch");

/** A drill: one day at most. */
export const MAX_DRILL_SECONDS = 86_400;
export const MAX_DRILL_UPSTREAMS = 64;

const counts = {
  served: z.int().describe("answered with what is here, and as fresh as on any other day"),
  stale: z
    .int()
    .describe("answered with a tag as it was last known, since its registry was not asked"),
  failed: z.int().describe("not answered, or broken off: without its registry, there is no answer"),
};

/** What became of the pulls of one image. */
export const drilledImageSchema = z
  .object({
    image: z.string(),
    ...counts,
    error: z.string().optional().describe("why the last one failed"),
  })
  .meta({ id: "DrilledImage" });

export type DrilledImage = z.infer<typeof drilledImageSchema>;

/** What was pulled of upstreams while they counted as dead, and what would not have been there. */
export const drillSchema = z
  .object({
    upstreams: z.array(z.string()).describe("those that count as dead, with their mirrors"),
    startedAt: moment,
    endsAt: moment.describe("when it ends by itself"),
    endedAt: moment.optional().describe("absent while it goes on"),
    countedSince: moment.describe("later than its start if the cache was restarted meanwhile"),
    requests: z.object(counts),
    images: z
      .array(drilledImageSchema)
      .describe("those with failures first, then the stale ones; a thousand at most"),
    uncounted: z
      .int()
      .optional()
      .describe("requests for further images, which are in `requests` only"),
    unready: z
      .array(z.object({ image: z.string(), reason: z.string() }))
      .optional()
      .describe("images that are wanted of these upstreams, and could not be pulled"),
  })
  .meta({ id: "Drill" });

export type Drill = z.infer<typeof drillSchema>;

export const drillsSchema = z
  .object({
    current: drillSchema
      .optional()
      .describe("with `endedAt`, it is over, and its report is being completed"),
    hidden: hiddenField,
    last: drillSchema.optional().describe("the one before; forgotten when the cache stops"),
  })
  .meta({ id: "DrillReport" });

export type DrillReport = z.infer<typeof drillsSchema>;

export const drillOrderSchema = z
  .strictObject({
    upstreams: z.array(z.string().trim().min(1).max(300)).min(1).max(MAX_DRILL_UPSTREAMS),
    seconds: z.int().min(1).max(MAX_DRILL_SECONDS).default(600).describe("how long it lasts"),
  })
  .meta({ id: "DrillOrder" });
