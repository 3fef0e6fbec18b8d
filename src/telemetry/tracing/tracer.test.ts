import { expect, test } from "bun:test";
import type { Span } from "./span.ts";
import { Tracer } from "./tracer.ts";

const PARENT = "0af7651916cd43dd8448eb211c80319c";
const asked = (flags: string): string => `00-${PARENT}-b7ad6b7169203331-${flags}`;

function setUp(sample: number) {
  const ended: Span[] = [];
  const time = { wall: 1_000_000, monotonic: 5000, chance: 0.5 };
  const tracer = new Tracer({
    sample,
    ended: (span) => ended.push(span),
    random: () => time.chance,
    clock: { wall: () => time.wall, monotonic: () => time.monotonic },
  });
  return { tracer, ended, time };
}

test("a client decides for its trace, chance for all others", () => {
  const { tracer, time } = setUp(0.1);
  expect(tracer.pull("GET", undefined)).toBeUndefined();
  time.chance = 0.09;
  expect(tracer.pull("GET", undefined)?.parentId).toBeUndefined();
  expect(tracer.pull("GET", asked("00"))).toBeUndefined();
  time.chance = 0.5;
  const pull = tracer.pull("GET", asked("01"));
  expect(pull?.context.traceId).toBe(PARENT);
  expect(pull?.parentId).toBe("b7ad6b7169203331");
  expect(tracer.pull("GET", "nonsense")).toBeUndefined();
});

test("what clients ask to be traced is limited per second", () => {
  const { tracer, time } = setUp(0);
  const traced = (): number =>
    Array.from({ length: 80 }, () => tracer.pull("GET", asked("01"))).filter(Boolean).length;
  expect(traced()).toBe(50);
  time.monotonic += 1000;
  expect(traced()).toBe(50);
});

test("spans end in order on a clock that is set back", () => {
  const { tracer, ended, time } = setUp(1);
  const pull = tracer.pull("GET", undefined);
  time.monotonic += 2;
  time.wall -= 60_000;
  const lookup = pull?.child("lookup");
  time.monotonic += 3.5;
  lookup?.end();
  time.monotonic += 1;
  pull?.end();
  pull?.end();
  const times = ended.map(({ name, startedAt, endedAt }) => [name, startedAt, endedAt]);
  expect(times).toEqual([
    ["lookup", 1_000_002, 1_000_005.5],
    ["GET", 1_000_000, 1_000_006.5],
  ]);
});

test("what runs within a span is a part of it until it has ended", async () => {
  const { tracer } = setUp(1);
  const pull = tracer.pull("GET", undefined);
  if (!pull) throw new Error("it is not traced");
  const later = Promise.withResolvers<void>();
  const seen = await tracer.within(pull, async () => {
    await Promise.resolve();
    // A probe that a pull has started, and that goes on.
    const probe = later.promise.then(() => tracer.current);
    return { during: tracer.current, probe };
  });
  expect(seen.during).toBe(pull);
  expect(tracer.current).toBeUndefined();
  pull.end();
  later.resolve();
  expect(await seen.probe).toBeUndefined();
});
