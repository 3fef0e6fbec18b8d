import { expect, test } from "bun:test";
import { digestNumber, repositoryRef } from "../../store/storetest/sample-names.ts";
import { UsefulnessRecord } from "./usefulness.ts";

const { upstream: hub } = repositoryRef("docker.io", "library/nginx");
const { upstream: github } = repositoryRef("ghcr.io", "org/app");
const MINUTE = 60_000;
/** What the wall clock shows when the other one begins. */
const EPOCH = 1_700_000_000_000;

/** A record whose clock is set by hand. */
function record() {
  const switched: string[] = [];
  const clock = { now: 1_000_000 };
  const of = new UsefulnessRecord(
    () => clock.now,
    () => EPOCH + clock.now,
    (upstream, { isOn, asked, judged }) =>
      switched.push(`${upstream} ${isOn ? "on" : `off: ${asked} of ${judged}`}`),
  );
  return { of, clock, switched };
}

test("a blob counts as asked for once, within ten minutes", () => {
  const { of, clock } = record();
  const [first, late, failed] = [digestNumber(1), digestNumber(2), digestNumber(3)];
  for (const digest of [first, late, failed]) of.begun(hub, digest);
  of.stored(hub);
  of.stored(hub);
  of.failed(hub, failed);
  expect(of.asked(hub, failed)).toBe(false);
  expect(of.asked(github, first)).toBe(false);
  expect(of.asked(hub, first)).toBe(true);
  expect(of.asked(hub, first)).toBe(false);
  clock.now += 10 * MINUTE;
  expect(of.asked(hub, late)).toBe(false);
  expect(of.of(hub)).toEqual({ filled: 2, asked: 1 });
});

test("it switches itself off for an hour where fewer than half are asked for", () => {
  const { of, clock, switched } = record();
  for (let number = 0; number < 30; number += 1) of.begun(hub, digestNumber(number));
  for (let number = 0; number < 9; number += 1) of.asked(hub, digestNumber(number));
  clock.now += 10 * MINUTE;
  expect(of.isOn(hub)).toBe(false);
  expect(of.isOn(github)).toBe(true);
  expect(switched).toEqual(["docker.io off: 9 of 20"]);
  expect(of.of(hub).offUntil).toBe(EPOCH + clock.now + 60 * MINUTE);
  clock.now += 60 * MINUTE;
  expect(of.isOn(hub)).toBe(true);
  expect(of.of(hub).offUntil).toBeUndefined();
  expect(switched).toEqual(["docker.io off: 9 of 20", "docker.io on"]);
});

test("it stays on with too few samples, and where half are asked for", () => {
  const { of, clock } = record();
  for (let number = 0; number < 19; number += 1) of.begun(hub, digestNumber(number));
  clock.now += 10 * MINUTE;
  expect(of.isOn(hub)).toBe(true);
  const half = record();
  for (let round = 0; round < 200; round += 1) {
    half.of.begun(hub, digestNumber(2 * round));
    half.of.begun(hub, digestNumber(2 * round + 1));
    half.of.asked(hub, digestNumber(2 * round));
    half.clock.now += 10 * MINUTE;
    expect(half.of.isOn(hub)).toBe(true);
  }
});
