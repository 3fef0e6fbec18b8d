import { expect, test } from "bun:test";
import { Slots } from "./concurrency-limiter.ts";
import { faultOf, rejection } from "../upstreamtest/test-servers.ts";

const tiny = { total: 2, each: 2 };

function slots(deadline = 1000) {
  return new Slots({ limits: { blob: tiny, metadata: tiny, token: tiny }, deadline });
}

test("who came first goes first", async () => {
  const room = slots();
  const [first, second] = [await room.acquire("blob", "a"), await room.acquire("blob", "a")];
  const order: number[] = [];
  const waiting = [1, 2, 3].map(async (number) => {
    const release = await room.acquire("blob", "a");
    order.push(number);
    return release;
  });
  expect(room.usage("blob")).toEqual({ taken: 2, waiting: 3 });
  first();
  first();
  (await waiting[0])?.();
  second();
  for (const release of waiting) (await release)();
  expect(order).toEqual([1, 2, 3]);
  expect(room.usage("blob")).toEqual({ taken: 0, waiting: 0 });
});

test("each kind has room of its own", async () => {
  const room = slots();
  await room.acquire("blob", "a");
  await room.acquire("blob", "a");
  await room.acquire("metadata", "a");
  expect(room.usage("metadata").taken).toBe(1);
});

test("an upstream at its own limit holds up nobody else", async () => {
  const room = slots();
  const held = await room.acquire("blob", "a", { each: 1 });
  let entered = false;
  const waiting = room.acquire("blob", "a", { each: 1 }).then((release) => {
    entered = true;
    return release;
  });
  const other = await room.acquire("blob", "b", { each: 1 });
  expect(entered).toBe(false);
  held();
  (await waiting)();
  other();
});

test("a wait ends with a fault after its deadline", async () => {
  const room = slots(20);
  await room.acquire("blob", "a");
  await room.acquire("blob", "a");
  expect(await faultOf(room.acquire("blob", "a"))).toEqual({ kind: "overloaded", upstream: "a" });
  expect(room.usage("blob").waiting).toBe(0);
});

test("who gives up leaves the queue", async () => {
  const room = slots();
  const held = await room.acquire("blob", "a");
  await room.acquire("blob", "a");
  const controller = new AbortController();
  const left = room.acquire("blob", "a", { signal: controller.signal });
  const stays = room.acquire("blob", "a");
  controller.abort(new Error("gone"));
  expect(await rejection(left)).toMatchObject({ message: "gone" });
  held();
  (await stays)();
  expect(room.usage("blob").taken).toBe(1);
});
