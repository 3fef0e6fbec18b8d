import { z } from "zod";

const moment = z.number().describe("milliseconds since the epoch");

/** How the cache came by what it sent; of a pull, that of the request that says most. */
export const pullResultSchema = z.enum([
  "hit",
  "revalidated",
  "collapsed",
  "miss",
  "stale",
  "bypass",
  "refused",
]);

export type PullResult = z.infer<typeof pullResultSchema>;

/** The requests of one client for one image that belong together. */
export const pullSchema = z
  .object({
    id: z.int().describe("grows with each pull, and begins anew when the cache starts"),
    at: moment.describe("when it began, in milliseconds since the epoch"),
    client: z.string().describe("the client's address"),
    runtime: z.string().optional().describe("`containerd 2.1.4`, by the client's user agent"),
    upstream: z.string(),
    image: z
      .string()
      .describe(
        "with the tag, where it is known: also if the client has resolved it before and asks by digest now",
      ),
    digest: z.string().optional().describe("of the manifest that was asked for first"),
    result: pullResultSchema,
    reason: z
      .string()
      .optional()
      .describe("why it was no hit: why stale, why a miss, why refused; absent for a plain hit"),
    requests: z.int(),
    missed: z.int().describe("of the requests, those for which the upstream sent content"),
    bytes: z.number().describe("sent to the client"),
    ms: z.number().describe("from the first request to the end of the last one"),
    isDone: z.boolean().describe("nothing more was asked for in the last seconds"),
  })
  .meta({ id: "Pull" });

export type Pull = z.infer<typeof pullSchema>;
