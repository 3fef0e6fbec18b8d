import { expect, test } from "bun:test";
import type { WebhookSettings } from "../config/operator/event-settings.ts";
import { type TempDir, tempDir } from "../../test/harness/temp-dir.ts";
import { until } from "../../test/harness/waiting.ts";
import { createLog } from "../telemetry/log.ts";
import type { Event } from "./event.ts";
import { EventQueue } from "./event-queue.ts";
import type { Outcome } from "./send-event.ts";
import { Webhook, type WebhookOptions } from "./webhook.ts";

const settings: WebhookSettings = {
  name: "ops",
  url: new URL("https://ops.example/"),
  format: "standard",
  secrets: [],
};

const DAY_MS = 24 * 60 * 60 * 1000;
const NOW = 100 * DAY_MS;

const eventOf = (id: string, at = NOW): Event => ({ id, type: "test", at, data: {} });

/** A receiver with a script of answers; from its end on, it takes everything. Waits take no time. */
async function receiver(dir: TempDir, script: readonly Outcome[]) {
  const sent: string[] = [];
  const waits: number[] = [];
  const messages: string[] = [];
  const stream = { write: (line: string) => void messages.push(JSON.parse(line).msg) };
  const queue = await EventQueue.open({ path: dir.file("ops.jsonl"), onError: () => {} });
  const options: WebhookOptions = {
    queue,
    log: createLog({ format: "json", level: "info", stream }),
    source: "//here",
    now: () => NOW,
    send: async (_webhook, { id }) => {
      sent.push(id);
      return script[sent.length - 1] ?? { kind: "delivered" };
    },
    wait: async (milliseconds) => void waits.push(milliseconds),
  };
  const webhook = new Webhook(settings, options);
  const idle = () => until(() => webhook.pending === 0, { what: "the end of the queue" });
  return { webhook, sent, waits, messages, idle };
}

const failed: Outcome = { kind: "failed", reason: "it refuses connections" };

test("events are sent in their order, again until each is taken, and later each time", async () => {
  await using dir = await tempDir("events");
  const { webhook, sent, waits, messages, idle } = await receiver(dir, [
    failed,
    failed,
    failed,
    { kind: "failed", reason: "it answered with 429", retryAfterMs: 120_000 },
    { kind: "failed", reason: "it answered with 503", retryAfterMs: 1e12 },
  ]);
  await using _ = webhook;
  for (const id of ["a", "b"]) webhook.add(eventOf(id));
  await idle();
  expect(sent).toEqual(["a", "a", "a", "a", "a", "a", "b"]);
  // Of 1, 2 and 4 s, so that receivers of several caches do not hear of all of them at once.
  const shares = waits.slice(0, 3).map((milliseconds, index) => milliseconds / (1000 * 2 ** index));
  expect(shares.every((share) => share >= 0.8 && share <= 1.2)).toBe(true);
  expect(waits.slice(3)).toEqual([120_000, 3_600_000]);
  expect(messages).toEqual([
    "events do not reach their receiver: they are sent again later",
    "events reach their receiver again",
  ]);
  expect(webhook.state).toMatchObject({
    delivered: 2,
    failed: 5,
    dropped: 0,
    lastDeliveredAt: NOW,
  });
});

test("an event that is refused three times, or too old, does not hold up the others", async () => {
  await using dir = await tempDir("events");
  const refused: Outcome = { kind: "refused", reason: "it answered with 400" };
  const { webhook, sent, idle } = await receiver(dir, [refused, refused, refused]);
  await using _ = webhook;
  webhook.add(eventOf("old", NOW - 4 * DAY_MS));
  for (const id of ["bad", "good"]) webhook.add(eventOf(id));
  await idle();
  expect(sent).toEqual(["bad", "bad", "bad", "good"]);
  expect(webhook.state).toMatchObject({ delivered: 1, dropped: 2 });
});

test("a receiver that is gone gets nothing until its settings change", async () => {
  await using dir = await tempDir("events");
  const { webhook, sent, idle } = await receiver(dir, [
    { kind: "gone", reason: "it answered with 410" },
  ]);
  await using _ = webhook;
  for (const id of ["a", "b"]) webhook.add(eventOf(id));
  await idle();
  webhook.add(eventOf("c"));
  expect([webhook.pending, webhook.state.isGone]).toEqual([0, true]);
  webhook.configure(settings, "//here");
  webhook.add(eventOf("d"));
  await idle();
  expect(sent).toEqual(["a", "d"]);
});

test("what is being sent as the cache stops is sent again by the next one", async () => {
  await using dir = await tempDir("events");
  const queue = await EventQueue.open({ path: dir.file("ops.jsonl"), onError: () => {} });
  const hanging = Promise.withResolvers<Outcome>();
  const webhook = new Webhook(settings, {
    queue,
    log: createLog({ format: "json", level: "silent" }),
    source: "//here",
    now: () => NOW,
    send: (_webhook, _event, { signal }) => {
      signal.addEventListener("abort", () => hanging.resolve(failed));
      return hanging.promise;
    },
  });
  webhook.add(eventOf("a"));
  await webhook[Symbol.asyncDispose]();
  const next = await receiver(dir, []);
  await using _ = next.webhook;
  await next.idle();
  expect(next.sent).toEqual(["a"]);
});

test("once a test is taken, what waits is sent at once, also by a receiver that was gone", async () => {
  await using dir = await tempDir("events");
  const queue = await EventQueue.open({ path: dir.file("ops.jsonl"), onError: () => {} });
  const sent: string[] = [];
  let outcome: Outcome = failed;
  let waits = 0;
  await using webhook = new Webhook(settings, {
    queue,
    log: createLog({ format: "json", level: "silent" }),
    source: "//here",
    now: () => NOW,
    send: async (_webhook, { id }) => {
      sent.push(id);
      return outcome;
    },
    // An hour, which no test lives to see.
    wait: (_milliseconds, signal) => {
      waits += 1;
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve());
      return promise;
    },
  });
  const idle = () => until(() => webhook.pending === 0, { what: "the end of the queue" });
  webhook.add(eventOf("a"));
  await until(() => waits === 1, { what: "the first failure" });
  expect(await webhook.try(eventOf("test"))).toEqual(failed);
  expect(webhook.pending).toBe(1);
  outcome = { kind: "delivered" };
  await webhook.try(eventOf("test"));
  await idle();
  expect([sent, webhook.state.problem]).toEqual([["a", "test", "test", "a"], undefined]);
  outcome = { kind: "gone", reason: "it answered with 410" };
  webhook.add(eventOf("b"));
  await until(() => webhook.state.isGone, { what: "the end of it" });
  outcome = { kind: "delivered" };
  await webhook.try(eventOf("test"));
  webhook.add(eventOf("c"));
  await idle();
  expect([sent.at(-1), webhook.state.isGone]).toEqual(["c", false]);
});
