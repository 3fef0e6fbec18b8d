import { z } from "zod";
import { EVENT_FORMATS, EVENT_TYPES } from "./event-settings.ts";

const MAX_WEBHOOKS = 16;

const webhookName = z
  .string()
  .describe("A name for the receiver: up to 40 lower-case letters, digits and dashes.")
  .meta({ examples: ["ops"] });

const webhook = z.strictObject({
  url: z
    .string()
    .describe("Where events are sent, by POST: http:// or https://. Redirects are not followed."),
  format: z
    .enum(EVENT_FORMATS)
    .optional()
    .describe(
      "standard: a JSON object with type, timestamp and data, as Standard Webhooks have it. cloudevents: a CloudEvent 1.0 as JSON (structured mode). cloudevents-binary: its attributes in headers (binary mode). Default: standard.",
    ),
  secretFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The file with the key that signs events, as whsec_ and Base64 of 24 to 64 bytes: the headers webhook-id, webhook-timestamp and webhook-signature. With two lines, events are signed with both. It is reread when it changes. Required for standard. Default: events are not signed.",
    ),
  types: z
    .array(z.enum(EVENT_TYPES))
    .min(1)
    .optional()
    .describe("What it is told of. Default: everything."),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "CA certificates to trust for this receiver in addition to the public ones: a PEM file, or PEM text.",
    ),
});

export type WebhookEntry = z.infer<typeof webhook>;

/** `events` of entrepot.yaml. */
export const eventsSchema = z.strictObject({
  source: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("What CloudEvents call this cache: a URI. Default: // and the host's name."),
  webhooks: z
    .record(webhookName, webhook)
    .refine((webhooks) => Object.keys(webhooks).length <= MAX_WEBHOOKS, {
      message: `has more than ${MAX_WEBHOOKS} receivers`,
    })
    .optional()
    .describe(
      "The receivers, by a name for each, with url, format, secretFile, types and ca. Each has a queue of at most 1000 events in the data directory, and gets them in order, until it answers with a 2xx status: see docs/how-to/receive-events.md. At most 16.",
    ),
});

export type EventsEntry = z.infer<typeof eventsSchema>;
