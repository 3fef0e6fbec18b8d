import { z } from "zod";
import { type WebhookStatus, webhooksSchema, webhookTestsSchema } from "../../../api/webhooks.ts";
import type { Webhook } from "../../../events/webhook.ts";
import type { Webhooks } from "../../../events/webhooks.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";

export function webhookOperations(webhooks: Pick<Webhooks, "all" | "test">): Operation[] {
  return [
    operation({
      id: "listWebhooks",
      method: "GET",
      path: "/webhooks",
      tag: "events",
      summary: "The receivers of events, and how they are doing",
      right: "read",
      answer: webhooksSchema,
      handle: () => ({ items: webhooks.all.map(statusOf) }),
    }),
    operation({
      id: "testWebhooks",
      method: "POST",
      path: "/webhooks/test",
      tag: "events",
      summary: "Sends a test event",
      description:
        "Answers once each receiver has answered, after 15 s at most. The event is sent once, before those that are queued, which follow at once if it is taken.",
      right: "admin",
      body: z.strictObject({
        name: z
          .string()
          .trim()
          .min(1)
          .max(100)
          .optional()
          .describe("of one receiver; absent: all of them"),
      }),
      answer: webhookTestsSchema,
      refusals: [404],
      handle: async ({ body: { name } }) => {
        const chosen = webhooks.all.filter(
          ({ settings }) => name === undefined || settings.name === name,
        );
        if (chosen.length === 0) throw noWebhook(name, webhooks.all);
        return { items: await Promise.all(chosen.map((webhook) => test(webhooks, webhook))) };
      },
    }),
  ];
}

async function test(webhooks: Pick<Webhooks, "test">, webhook: Webhook) {
  const outcome = await webhooks.test(webhook);
  const { name } = webhook.settings;
  return outcome.kind === "delivered"
    ? { name, isDelivered: true }
    : { name, isDelivered: false, problem: outcome.reason };
}

function statusOf({ settings, state, pending }: Webhook): WebhookStatus {
  const { name, url, format, types } = settings;
  const { isGone, ...figures } = state;
  const gone = isGone ? { problem: "it wants no more events (410)" } : {};
  return {
    name,
    receiver: url.origin,
    format,
    ...(types && { types: [...types] }),
    queued: pending,
    ...figures,
    ...gone,
  };
}

function noWebhook(name: string | undefined, all: readonly Webhook[]): ProblemError {
  const detail =
    name === undefined || all.length === 0
      ? "no receiver of events is configured"
      : `there is no receiver ${JSON.stringify(name)}`;
  const names = all.map(({ settings }) => settings.name).join(", ");
  const next = all.length === 0 ? "add one to events.webhooks of entrepot.yaml" : `use ${names}`;
  return new ProblemError({ status: 404, detail, next });
}
