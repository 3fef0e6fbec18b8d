import { describe, expect, test } from "bun:test";
import { ConcurrencyLimiter } from "./concurrency-limiter.ts";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { faultOf, rejection } from "../upstreamtest/test-servers.ts";

const two = { total: 2, perUpstream: 2 };

/** Two permits of each kind. */
function limiter(timeout = 1000) {
  return new ConcurrencyLimiter({ limits: { blob: two, metadata: two, token: two }, timeout });
}

describe("the concurrency limiter", () => {
  test("grants permits in order of arrival", async () => {
    const subject = limiter();
    const [first, second] = [
      await subject.acquire("blob", "a"),
      await subject.acquire("blob", "a"),
    ];
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (number) => {
      const release = await subject.acquire("blob", "a");
      order.push(number);
      return release;
    });
    expect(subject.usage("blob")).toEqual({ inUse: 2, waiting: 3 });
    first();
    first();
    (await waiting[0])?.();
    second();
    for (const release of waiting) (await release)();
    expect(order).toEqual([1, 2, 3]);
    expect(subject.usage("blob")).toEqual({ inUse: 0, waiting: 0 });
  });

  test("limits each kind separately", async () => {
    const subject = limiter();
    await subject.acquire("blob", "a");
    await subject.acquire("blob", "a");
    await subject.acquire("metadata", "a");
    expect(subject.usage("metadata").inUse).toBe(1);
  });

  test("does not let an upstream at its own limit block another one", async () => {
    const subject = limiter();
    const release = await subject.acquire("blob", "a", { perUpstream: 1 });
    let isGranted = false;
    const waiting = subject.acquire("blob", "a", { perUpstream: 1 }).then((permit) => {
      isGranted = true;
      return permit;
    });
    const other = await subject.acquire("blob", "b", { perUpstream: 1 });
    expect(isGranted).toBe(false);
    release();
    (await waiting)();
    other();
  });

  test.each([
    [16, 1, 12],
    [64, 1, 48],
    [64, 2, 60],
    [96, 3, 95],
    [16, 20, 12 + 3 + 18 * 2],
  ])("of %i permits, upstreams that hang (%i) get %i", async (total, count, expected) => {
    const limits = { blob: { total, perUpstream: total } };
    const subject = new ConcurrencyLimiter({ limits });
    const controller = new AbortController();
    const { signal } = controller;
    const hanging = Array.from({ length: count }, (_, upstream) =>
      Array.from({ length: total }, () => subject.acquire("blob", `hangs${upstream}`, { signal })),
    ).flat();
    expect(subject.usage("blob").inUse).toBe(expected);
    for (let blob = 0; blob < 3; blob += 1) {
      const [one, other] = [
        await subject.acquire("blob", "another"),
        await subject.acquire("blob", "another"),
      ];
      one();
      other();
    }
    controller.abort(new Error("gone"));
    await Promise.allSettled(hanging);
  });

  test("has requests wait for one upstream while thousands wait for another", async () => {
    const subject = limiter();
    const controller = new AbortController();
    const { signal } = controller;
    const hanging = Promise.allSettled(
      Array.from({ length: 5000 }, () => subject.acquire("blob", "a", { signal })),
    );
    const [one] = [await subject.acquire("blob", "b"), await subject.acquire("blob", "b")];
    const third = subject.acquire("blob", "b");
    one();
    (await third)();
    controller.abort(new Error("gone"));
    await hanging;
  });

  test("rejects a request as overloaded once it has waited for the timeout", async () => {
    const subject = limiter(20);
    await subject.acquire("blob", "a");
    await subject.acquire("blob", "a");
    expect(await faultOf(subject.acquire("blob", "a"))).toEqual({
      kind: "overloaded",
      upstream: "a",
    });
    expect(subject.usage("blob").waiting).toBe(0);
  });

  test("removes an aborted request from the queue", async () => {
    const subject = limiter();
    const release = await subject.acquire("blob", "a");
    await subject.acquire("blob", "a");
    const controller = new AbortController();
    const aborted = subject.acquire("blob", "a", { signal: controller.signal });
    const waiting = subject.acquire("blob", "a");
    controller.abort(new Error("gone"));
    expect(await rejection(aborted)).toMatchObject({ message: "gone" });
    release();
    (await waiting)();
    expect(subject.usage("blob").inUse).toBe(1);
  });

  test("lets a few requests begin in each turn of the event loop", async () => {
    const limits = { blob: { total: 4, perUpstream: 4 } };
    const subject = new ConcurrencyLimiter({ limits });
    const begin = async (): Promise<void> => (await subject.acquire("blob", "a"))();
    const turns = await eventLoopTurns(() => Promise.all(Array.from({ length: 80 }, begin)));
    expect(turns).toBeGreaterThanOrEqual(80 / 4 - 1);
  });

  test("gives back the permit of a request that was aborted before its turn", async () => {
    const subject = new ConcurrencyLimiter();
    const controller = new AbortController();
    const { signal } = controller;
    const all = Array.from({ length: 30 }, () => subject.acquire("blob", "a", { signal }));
    controller.abort(new Error("gone"));
    const outcomes = await Promise.allSettled(all);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(30).fill("rejected"));
    expect(subject.usage("blob")).toEqual({ inUse: 0, waiting: 0 });
  });
});
