import { afterAll, expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import type { WebhookSettings } from "../config/operator/event-settings.ts";
import { type Outcome, sendEvent } from "./send-event.ts";

const secretOf = (text: string) => `whsec_${Buffer.from(text.padEnd(32)).toString("base64")}`;
const [OLD, NEW] = [secretOf("the old one"), secretOf("the new one")];

let answer: (request: Request) => Response | Promise<Response> = () => new Response();
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => answer(request) });
afterAll(() => server.stop(true));

const webhook: WebhookSettings = {
  name: "ops",
  url: new URL(`http://127.0.0.1:${server.port}/hook?key=1`),
  format: "standard",
  secrets: [],
};
const event = { id: "evt_1", type: "disk.full", at: 0, data: { message: "é" } };

const send = (settings: Partial<WebhookSettings> = {}, signal = new AbortController().signal) =>
  sendEvent({ ...webhook, ...settings }, event, { source: "//here", signal });

test("while a secret is replaced, receivers that have either verify what they get", async () => {
  const verified: unknown[] = [];
  answer = async (request) => {
    const [body, headers] = [await request.text(), Object.fromEntries(request.headers)];
    for (const secret of [OLD, NEW]) verified.push(new Webhook(secret).verify(body, headers));
    return new Response(null, { status: 202 });
  };
  expect(await send({ secrets: [NEW, OLD] })).toEqual({ kind: "delivered" });
  const expected = { type: "disk.full", timestamp: "1970-01-01T00:00:00.000Z", data: event.data };
  expect(verified).toEqual([expected, expected]);
});

test.each<[number, Record<string, string>, Outcome]>([
  [204, {}, { kind: "delivered" }],
  [307, { location: "/elsewhere" }, { kind: "failed", reason: "it answered with 307" }],
  [400, {}, { kind: "refused", reason: "it answered with 400" }],
  [401, {}, { kind: "failed", reason: "it answered with 401" }],
  [410, {}, { kind: "gone", reason: "it answered with 410" }],
  [
    429,
    { "retry-after": "30" },
    { kind: "failed", reason: "it answered with 429", retryAfterMs: 30_000 },
  ],
  [503, { "retry-after": "-1" }, { kind: "failed", reason: "it answered with 503" }],
])("the answer %i with %j", async (status, headers, outcome) => {
  const paths: string[] = [];
  answer = ({ url }) => {
    paths.push(new URL(url).pathname);
    return new Response(null, { status, headers });
  };
  expect([await send(), paths]).toEqual([outcome, ["/hook"]]);
});

test("a Retry-After with a date is waited for, a day at most", async () => {
  const waitOf = async (from: number) => {
    const headers = { "retry-after": new Date(Date.now() + from).toUTCString() };
    answer = () => new Response(null, { status: 503, headers });
    const outcome = await send();
    return outcome.kind === "failed" ? outcome.retryAfterMs : undefined;
  };
  const wait = (await waitOf(600_000)) ?? 0;
  // The header has whole seconds, and the receiver is some way off.
  expect(wait > 540_000 && wait <= 600_000).toBe(true);
  expect([await waitOf(-600_000), await waitOf(1e12)]).toEqual([1000, 86_400_000]);
});

test("an answer without an end is not read, and a receiver that is away is a failure", async () => {
  const cancelled = Promise.withResolvers<void>();
  answer = () =>
    new Response(
      new ReadableStream({
        pull: (it) => it.enqueue(new Uint8Array(65_536)),
        cancel: () => cancelled.resolve(),
      }),
    );
  expect(await send()).toEqual({ kind: "delivered" });
  await cancelled.promise;
  const url = new URL("http://127.0.0.1:1/");
  expect(await send({ url })).toEqual({ kind: "failed", reason: "it refuses connections" });
});

test("the end of the cache ends an attempt", async () => {
  const [asked, closing] = [Promise.withResolvers<void>(), new AbortController()];
  answer = () => {
    asked.resolve();
    return new Promise<Response>(() => {});
  };
  const outcome = send({}, closing.signal);
  await asked.promise;
  closing.abort();
  expect((await outcome).kind).toBe("failed");
});
