import { z } from "zod";
import { savedSchema } from "./overview.ts";

const moment = z.number().describe("milliseconds since the epoch");
const sums = z.array(z.number());

/** What happened in a period, in steps of equal length. */
export const historySchema = z
  .object({
    from: moment.describe("when the first step begins"),
    step: z.number().describe("in milliseconds"),
    saved: savedSchema.describe("of all upstreams together"),
    upstreams: z.array(
      z.object({
        name: z.string(),
        requests: sums.describe("of each step, the oldest first; the last one is not over"),
        fromCache: sums.describe("of `requests`, those without content from the upstream"),
        sentBytes: sums,
        fetchedBytes: sums,
        answered: sums.describe("requests to the upstream that it answered"),
        failed: sums.describe("those that it did not answer, or with a server's error"),
        limited: sums.describe("those that it refused by 429"),
        latencyMs: z
          .array(z.number().nullable())
          .describe("the mean time to the headers of an answer; null where there was none"),
      }),
    ),
  })
  .meta({ id: "History" });

export type HistoryAnswer = z.infer<typeof historySchema>;

/** Who pulled an image's repository. */
export const imageClientsSchema = z
  .object({
    image: z.string(),
    items: z.array(
      z.object({
        client: z.string().describe("an address"),
        name: z.string().optional().describe("of the node, by its own report"),
        reference: z.string().describe("the tag, or the digest where no tag is known"),
        pulledAt: moment.describe("for the last time"),
        pulls: z.int().describe("in the last thirty days, as far as they are kept"),
      }),
    ),
  })
  .meta({ id: "ImageClients" });

export type ImageClients = z.infer<typeof imageClientsSchema>;
