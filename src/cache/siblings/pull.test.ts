import { expect, test } from "bun:test";
import { type AskedLayer, Pull } from "./pull.ts";

interface Layer extends AskedLayer {
  isSettled: boolean;
  followers: { count: number; hadAny: boolean };
}

function layer(count: number): Layer {
  return { isSettled: false, followers: { count, hadAny: count > 0 } };
}

test("a pull lives while its client reads, and for the time between two requests", () => {
  const pull = new Pull(0);
  const read = layer(1);
  pull.asked(read, 0);
  expect(pull.isAlive(100_000)).toBe(true);
  read.isSettled = true;
  expect(pull.isAlive(104_000)).toBe(true);
  expect(pull.isAlive(105_000)).toBe(false);
  // What was downloaded ahead is asked for as well, and is there already.
  pull.asked(undefined, 106_000);
  expect(pull.isAlive(110_000)).toBe(true);
});

test("a pull ends at once when its client leaves in the middle of a layer", () => {
  const pull = new Pull(0);
  const [left, read] = [layer(1), layer(1)];
  pull.asked(left, 0);
  pull.asked(read, 0);
  left.followers.count = 0;
  expect(pull.isAlive(10)).toBe(true);
  read.followers.count = 0;
  expect(pull.isAlive(20)).toBe(false);
});

test("a client that waits for the first byte of a layer has not left, unless that takes very long", () => {
  const pull = new Pull(0);
  pull.asked(layer(0), 0);
  expect(pull.isAlive(19_999)).toBe(true);
  expect(pull.isAlive(50_000)).toBe(false);
});
