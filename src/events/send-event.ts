import type { WebhookSettings } from "../config/operator/event-settings.ts";
import { retryAfter } from "../oci/retry-after.ts";
import { version } from "../version.ts";
import { encodeEvent } from "./encode.ts";
import type { Event } from "./event.ts";

/** What came of sending an event. */
export type Outcome =
  | { readonly kind: "delivered" }
  /** It may succeed later. */
  | { readonly kind: "failed"; readonly reason: string; readonly retryAfterMs?: number }
  /** The receiver does not take this event, and may take others. */
  | { readonly kind: "refused"; readonly reason: string }
  /** The receiver wants no more events (410). */
  | { readonly kind: "gone"; readonly reason: string };

/** What Standard Webhooks recommend, in milliseconds. */
const TIMEOUT_MS = 15_000;
/** Statuses that say something of this event, and not of the receiver. */
const ABOUT_THE_EVENT = new Set([400, 413, 415, 422]);

export interface SendOptions {
  /** Names this cache. */
  readonly source: string;
  readonly signal: AbortSignal;
}

/** Sends an event once, to the configured URL and nowhere else. */
export async function sendEvent(
  webhook: WebhookSettings,
  event: Event,
  { source, signal }: SendOptions,
): Promise<Outcome> {
  const { body, headers } = encodeEvent(webhook.format, event, source);
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(webhook.url, {
      method: "POST",
      body,
      headers: {
        ...headers,
        "user-agent": `entrepot/${version}`,
        ...(await signatureHeaders(webhook.secrets, event.id, body)),
      },
      // A receiver must not lead to another address of this network.
      redirect: "manual",
      signal: AbortSignal.any([signal, timeout]),
      ...(webhook.ca === undefined ? {} : { tls: { ca: webhook.ca } }),
    });
    // What it answers is of no interest, and may be endless.
    void response.body?.cancel().catch(() => {});
    return outcomeOf(response);
  } catch (error) {
    if (timeout.aborted) {
      return { kind: "failed", reason: `it did not answer within ${TIMEOUT_MS / 1000} s` };
    }
    return { kind: "failed", reason: reasonOf(error) };
  }
}

function outcomeOf({ status, headers }: Response): Outcome {
  if (status >= 200 && status < 300) return { kind: "delivered" };
  const reason = `it answered with ${status}`;
  if (status === 410) return { kind: "gone", reason };
  if (ABOUT_THE_EVENT.has(status)) return { kind: "refused", reason };
  const seconds = retryAfter(headers.get("retry-after"), Date.now());
  return { kind: "failed", reason, ...(seconds && { retryAfterMs: seconds * 1000 }) };
}

/** The headers of Standard Webhooks; none without a secret. Their time is that of the attempt. */
async function signatureHeaders(
  secrets: readonly string[],
  id: string,
  body: string,
): Promise<Record<string, string>> {
  if (secrets.length === 0) return {};
  const { Webhook } = await import("standardwebhooks");
  const now = new Date();
  const signatures = secrets.map((secret) => new Webhook(secret).sign(id, now, body));
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": signatures.join(" "),
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  switch (code) {
    case "ECONNREFUSED":
      return "it refuses connections";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "this machine finds no address for it";
    case "ECONNRESET":
      return "it closed the connection";
    default:
      return code === "" ? error.message : code;
  }
}
