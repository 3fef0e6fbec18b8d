import { expect, test } from "bun:test";
import { TailBuffer } from "./tail-buffer.ts";

const KIB = 1024;

function chunk(kib: number, fill: number): Uint8Array {
  return new Uint8Array(kib * KIB).fill(fill);
}

test("bytes are found by their place, up to the end that is allowed", () => {
  const newest = new TailBuffer();
  newest.add(100, Uint8Array.of(1, 2, 3));
  newest.add(103, Uint8Array.of(4, 5));
  expect(newest.from(99, 200)).toBeUndefined();
  expect(newest.from(100, 200)).toEqual(Uint8Array.of(1, 2, 3));
  expect(newest.from(101, 102)).toEqual(Uint8Array.of(2));
  expect(newest.from(103, 200)).toEqual(Uint8Array.of(4, 5));
  expect(newest.from(104, 105)).toEqual(Uint8Array.of(5));
  expect(newest.from(105, 200)).toBeUndefined();
});

test("the last 512 KiB are here, and no more than a chunk besides", () => {
  const newest = new TailBuffer();
  for (let at = 0; at < 32; at += 1) newest.add(at * 64 * KIB, chunk(64, at));
  const end = 32 * 64 * KIB;
  expect(newest.from(end - 512 * KIB, end)?.[0]).toBe(24);
  expect(newest.from(end - 512 * KIB - 64 * KIB - 1, end)).toBeUndefined();
});

test("one chunk that is larger than all that is kept is here as a whole", () => {
  const newest = new TailBuffer();
  newest.add(0, chunk(64, 1));
  newest.add(64 * KIB, chunk(2048, 2));
  expect(newest.from(0, Infinity)).toBeUndefined();
  expect(newest.from(64 * KIB, Infinity)?.byteLength).toBe(2048 * KIB);
});

test("bytes that do not follow on the last ones begin anew", () => {
  const newest = new TailBuffer();
  newest.add(0, chunk(1, 1));
  newest.add(5000, chunk(1, 2));
  expect(newest.from(0, Infinity)).toBeUndefined();
  expect(newest.from(5000, 5001)).toEqual(Uint8Array.of(2));
});
