import { expect, test } from "bun:test";
import { TailBuffer } from "./tail-buffer.ts";

const KIB = 1024;

function chunk(kib: number, value: number): Uint8Array {
  return new Uint8Array(kib * KIB).fill(value);
}

test("bytes are read by their offset, up to the given end", () => {
  const buffer = new TailBuffer();
  buffer.add(100, Uint8Array.of(1, 2, 3));
  buffer.add(103, Uint8Array.of(4, 5));
  expect(buffer.read(99, 200)).toBeUndefined();
  expect(buffer.read(100, 200)).toEqual(Uint8Array.of(1, 2, 3));
  expect(buffer.read(101, 102)).toEqual(Uint8Array.of(2));
  expect(buffer.read(103, 200)).toEqual(Uint8Array.of(4, 5));
  expect(buffer.read(104, 105)).toEqual(Uint8Array.of(5));
  expect(buffer.read(105, 200)).toBeUndefined();
});

test("the last chunk and 256 KiB before it are buffered", () => {
  const buffer = new TailBuffer();
  for (let index = 0; index < 32; index += 1) buffer.add(index * 64 * KIB, chunk(64, index));
  const end = 32 * 64 * KIB;
  expect(buffer.read(end - 256 * KIB - 64 * KIB, end)?.[0]).toBe(27);
  expect(buffer.read(end - 256 * KIB - 64 * KIB - 1, end)).toBeUndefined();
});

test("a chunk larger than the capacity is buffered as a whole, until the next but one has come", () => {
  const buffer = new TailBuffer();
  buffer.add(0, chunk(64, 1));
  buffer.add(64 * KIB, chunk(2048, 2));
  expect(buffer.read(0, Infinity)?.byteLength).toBe(64 * KIB);
  buffer.add(2112 * KIB, chunk(64, 3));
  expect(buffer.read(0, Infinity)).toBeUndefined();
  expect(buffer.read(64 * KIB, Infinity)?.byteLength).toBe(2048 * KIB);
});

test("a chunk that does not follow on the last one empties the buffer first", () => {
  const buffer = new TailBuffer();
  buffer.add(0, chunk(1, 1));
  buffer.add(5000, chunk(1, 2));
  expect(buffer.read(0, Infinity)).toBeUndefined();
  expect(buffer.read(5000, 5001)).toEqual(Uint8Array.of(2));
});

test("a chunk that leaves the buffer is freed, unless somebody has read it", () => {
  const buffer = new TailBuffer();
  const chunks = Array.from({ length: 8 }, (_, value) => chunk(128, value));
  for (const [index, each] of chunks.entries()) {
    buffer.add(index * 128 * KIB, each);
    if (index === 1) buffer.read(128 * KIB, 129 * KIB);
  }
  const kept = chunks.flatMap(({ byteLength }, index) => (byteLength > 0 ? [index] : []));
  expect(kept).toEqual([1, 5, 6, 7]);
});
