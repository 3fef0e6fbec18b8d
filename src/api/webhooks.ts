import { z } from "zod";

/** A receiver of events, and how it is doing. */
export const webhookSchema = z
  .object({
    name: z.string(),
    receiver: z.string().describe("scheme, host and port: the rest of its URL may be a secret"),
    format: z.string(),
    types: z.array(z.string()).optional().describe("what it is told of; absent: everything"),
    queued: z.int().describe("events that it has not got yet"),
    delivered: z.int().describe("since the start, like those below"),
    failed: z.int().describe("attempts that failed"),
    dropped: z.int().describe("events that were given up"),
    lastDeliveredAt: z.number().optional().describe("milliseconds since the epoch"),
    problem: z.string().optional().describe("why the last attempt failed"),
  })
  .meta({ id: "Webhook" });

export type WebhookStatus = z.infer<typeof webhookSchema>;

export const webhooksSchema = z.object({ items: z.array(webhookSchema) }).meta({ id: "Webhooks" });

/** What came of a test. */
export const webhookTestsSchema = z
  .object({
    items: z.array(
      z.object({
        name: z.string(),
        isDelivered: z.boolean(),
        problem: z.string().optional().describe("why it was not delivered"),
      }),
    ),
  })
  .meta({ id: "WebhookTests" });
