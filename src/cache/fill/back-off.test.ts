import { expect, test } from "bun:test";
import { Fault } from "../../oci/fault.ts";
import { BackOff } from "./back-off.ts";

const upstream = "reg.test";
const broken = new Fault({ kind: "upstream-unreachable", upstream, reason: "cut" });
const limited = new Fault({ kind: "upstream-rate-limited", upstream, retryAfter: 7 });

function backOff(random: number) {
  const clock = { now: 0 };
  const limits = { idle: 60_000, total: 3_600_000 };
  return { clock, subject: new BackOff({ limits, now: () => clock.now, random: () => random }) };
}

test("pauses double up to 8 s, with full jitter", () => {
  const { subject } = backOff(1);
  const pauses = [1, 2, 3, 4, 5, 6].map(() => subject.pause(broken));
  expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
  expect(backOff(0).subject.pause(broken)).toBe(0);
  expect(backOff(0.5).subject.pause(broken)).toBe(250);
});

test("bytes that came begin the count anew", () => {
  const { subject } = backOff(1);
  subject.pause(broken);
  subject.pause(broken);
  subject.progressed();
  expect(subject.pause(broken)).toBe(500);
});

test("without bytes for a minute it is given up, and a drip ends with the total", () => {
  const { clock, subject } = backOff(0);
  clock.now = 59_999;
  expect(subject.pause(broken)).toBe(0);
  clock.now = 60_000;
  expect(subject.pause(broken)).toBeUndefined();
  clock.now = 3_599_000;
  subject.progressed();
  expect(subject.pause(broken)).toBe(0);
  clock.now = 3_600_000;
  subject.progressed();
  expect(subject.pause(broken)).toBeUndefined();
});

test("a limit's Retry-After is kept, and where it is too far nobody waits for it", () => {
  const { clock, subject } = backOff(0);
  expect(subject.pause(limited)).toBe(7000);
  clock.now = 55_000;
  expect(subject.pause(limited)).toBeUndefined();
});
