import { expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { tooSlow } from "../cachetest/scripted-source.ts";
import { BackOff } from "./back-off.ts";

const upstream = "reg.test";
const broken = new Fault({ kind: "upstream-unreachable", upstream, reason: "cut" });
const rateLimited = new Fault({ kind: "upstream-rate-limited", upstream, retryAfter: 7 });

function createBackOff(random: number) {
  const clock = { now: 0 };
  const limits = { idle: 60_000, total: 3_600_000 };
  return { clock, subject: new BackOff({ limits, now: () => clock.now, random: () => random }) };
}

test("the pause doubles with each failure up to 8 s, with full jitter", () => {
  const { subject } = createBackOff(1);
  const pauses = [1, 2, 3, 4, 5, 6].map(() => subject.pause(broken));
  expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
  expect(createBackOff(0).subject.pause(broken)).toBe(0);
  expect(createBackOff(0.5).subject.pause(broken)).toBe(250);
});

test("after a transfer that brought bytes there is no pause, and then they grow anew", () => {
  const { subject } = createBackOff(1);
  expect([subject.pause(broken), subject.pause(broken)]).toEqual([500, 1000]);
  for (let i = 0; i < 100; i += 1) {
    subject.progressed(1_000_000);
    expect(subject.pause(broken)).toBe(0);
  }
  expect([subject.pause(broken), subject.pause(broken)]).toEqual([500, 1000]);
});

test("the bytes of a transfer that was too slow are no progress", () => {
  const { subject } = createBackOff(1);
  const pauses = [1, 2, 3].map(() => {
    subject.progressed(1_000_000);
    return subject.pause(tooSlow(upstream));
  });
  expect(pauses).toEqual([500, 1000, 2000]);
});

test("the time for which a transfer is held back does not count", () => {
  const { clock, subject } = createBackOff(0);
  let heldBack = 0;
  subject.begin(() => heldBack);
  for (let i = 0; i < 100; i += 1) {
    clock.now += 300_000;
    heldBack += 290_000;
    subject.progressed(1000);
  }
  expect(subject.pause(broken)).toBe(0);
  subject.begin(() => 0);
  clock.now += 59_000;
  expect(subject.pause(broken)).toBe(0);
  clock.now += 2000;
  expect(subject.pause(broken)).toBeUndefined();
});

test("an upstream that cuts every byte is not asked in a tight loop", () => {
  const { subject } = createBackOff(1);
  const pauses = [1, 2, 3, 4, 5].map(() => {
    subject.progressed(1);
    return subject.pause(broken);
  });
  expect(pauses).toEqual([0, 500, 0, 500, 0]);
});

test("a download is given up after a minute without bytes, or at the total limit", () => {
  const { clock, subject } = createBackOff(0);
  clock.now = 59_999;
  expect(subject.pause(broken)).toBe(0);
  clock.now = 60_000;
  expect(subject.pause(broken)).toBeUndefined();
  clock.now = 3_599_000;
  subject.progressed(1);
  expect(subject.pause(broken)).toBe(0);
  clock.now = 3_600_000;
  subject.progressed(1);
  expect(subject.pause(broken)).toBeUndefined();
});

test("Retry-After is respected, unless it lies beyond the idle limit: then the download is given up", () => {
  const { clock, subject } = createBackOff(0);
  expect(subject.pause(rateLimited)).toBe(7000);
  clock.now = 55_000;
  expect(subject.pause(rateLimited)).toBeUndefined();
});
