import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { endingEarly } from "./fill-body.ts";

const CHUNKS = 200;

test("no chunk that was read is held until the body ends", async () => {
  const chunks: WeakRef<Uint8Array>[] = [];
  const never = new AbortController();
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = new Uint8Array(1000);
        chunks.push(new WeakRef(chunk));
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 0 },
  );
  const reader = endingEarly(body, never.signal).getReader();
  for (let read = 0; read < CHUNKS; read += 1) await reader.read();
  Bun.gc(true);
  // A weak reference holds what it refers to until the turn ends.
  await setImmediate();
  Bun.gc(true);
  expect(chunks.filter((chunk) => chunk.deref()).length).toBeLessThan(CHUNKS / 10);
  await reader.cancel();
});

test("a body ends without an error when it is given up, while it waits for a chunk too", async () => {
  const gaveUp = new AbortController();
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(new Uint8Array([1])),
      cancel: () => cancelled.resolve(),
    },
    { highWaterMark: 0 },
  );
  const reader = endingEarly(body, gaveUp.signal).getReader();
  expect((await reader.read()).value).toEqual(new Uint8Array([1]));
  const next = reader.read();
  gaveUp.abort();
  expect(await next).toEqual({ done: true, value: undefined });
  await cancelled.promise;
});
