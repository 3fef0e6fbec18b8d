import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { AdminAccess } from "./admin-access.ts";
import { limitStream } from "./limited-stream.ts";

const events = (onCancel: () => void) =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
      cancel: onCancel,
    }),
    { headers: { "content-type": "text/event-stream" } },
  );

test("a stream of events ends cleanly as tokens change, so that its reader asks again", async () => {
  const access = new AdminAccess({ admin: ["the-first-admin-token"], read: [] });
  const cancelled = Promise.withResolvers<void>();
  const limited = limitStream(events(cancelled.resolve), [access.changed]);
  const reader = limited.body?.getReader();
  expect((await reader?.read())?.value).toEqual(new TextEncoder().encode("data: 1\n\n"));
  access.configure({ admin: ["another-admin-token"], read: [] });
  expect(await reader?.read()).toEqual({ done: true, value: undefined });
  await cancelled.promise;
});

test("reading the same tokens again ends no stream", () => {
  const tokens = { admin: ["the-first-admin-token"], read: ["one-to-read-with"] } as const;
  const access = new AdminAccess(tokens);
  const { changed } = access;
  access.configure({ ...tokens, read: [...tokens.read] });
  expect([changed.aborted, access.changed === changed]).toEqual([false, true]);
});

test("a reader that goes away ends the stream itself", async () => {
  const access = new AdminAccess(undefined);
  const cancelled = Promise.withResolvers<void>();
  const reader = limitStream(events(cancelled.resolve), [access.changed]).body?.getReader();
  await reader?.read();
  expect(getEventListeners(access.changed, "abort")).toHaveLength(1);
  await reader?.cancel();
  await cancelled.promise;
  expect(getEventListeners(access.changed, "abort")).toHaveLength(0);
});

test("a stream that begins as the cache stops has ended", async () => {
  const stopped = AbortSignal.abort();
  expect(
    await limitStream(
      events(() => {}),
      [stopped],
    ).text(),
  ).toBe("");
});

test("a stream that ends leaves nothing behind", async () => {
  const access = new AdminAccess(undefined);
  const short = new Response("data: 1\n\n", { headers: { "content-type": "text/event-stream" } });
  expect(await limitStream(short, [access.changed]).text()).toBe("data: 1\n\n");
  expect(getEventListeners(access.changed, "abort")).toHaveLength(0);
});

test("other responses are as they were", () => {
  const response = Response.json({});
  expect(limitStream(response, [new AdminAccess(undefined).changed])).toBe(response);
});
