import { expect, test } from "bun:test";
import { BufferPool } from "../../process/buffer-pool.ts";
import { TAIL_BLOCK_BYTES, TailBuffer } from "./tail-buffer.ts";

const KIB = 1024;

function chunk(kib: number, value: number): Uint8Array {
  return new Uint8Array(kib * KIB).fill(value);
}

test("bytes are read by their offset, up to the given end", () => {
  const buffer = new TailBuffer();
  buffer.add(100, Uint8Array.of(1, 2, 3));
  buffer.add(103, Uint8Array.of(4, 5));
  expect(buffer.read(99, 200)).toBeUndefined();
  expect(buffer.read(100, 200)).toEqual(Buffer.of(1, 2, 3, 4, 5));
  expect(buffer.read(101, 102)).toEqual(Buffer.of(2));
  expect(buffer.read(103, 200)).toEqual(Buffer.of(4, 5));
  expect(buffer.read(104, 105)).toEqual(Buffer.of(5));
  expect(buffer.read(105, 200)).toBeUndefined();
});

/** A pool of which so much is in use already that fills have to do with little. */
function scarce(): BufferPool {
  const pool = new BufferPool(TAIL_BLOCK_BYTES);
  for (let taken = 0; taken < 64; taken += 1) pool.take();
  return pool;
}

test("as long as little is in use, the last chunk and 1 MiB before it are buffered", () => {
  const buffer = new TailBuffer();
  for (let index = 0; index < 32; index += 1) {
    buffer.add(index * 64 * KIB, chunk(64, index), index * 64 * KIB);
  }
  const end = 32 * 64 * KIB;
  expect(buffer.read(end - 1088 * KIB, end)?.[0]).toBe(15);
  expect(buffer.read(end - 1088 * KIB - 1, end)).toBeUndefined();
});

test("the last chunk and 256 KiB before it are buffered", () => {
  const buffer = new TailBuffer(scarce());
  for (let index = 0; index < 32; index += 1) buffer.add(index * 64 * KIB, chunk(64, index));
  const end = 32 * 64 * KIB;
  expect(buffer.read(end - 256 * KIB - 64 * KIB, end)?.[0]).toBe(27);
  expect(buffer.read(end - 256 * KIB - 64 * KIB - 1, end)).toBeUndefined();
});

test("what is written to the file leaves the buffer, but for a little", () => {
  const buffer = new TailBuffer(scarce());
  for (let index = 0; index < 32; index += 1) {
    buffer.add(index * 64 * KIB, chunk(64, index), (index - 1) * 64 * KIB);
  }
  const end = 32 * 64 * KIB;
  expect(buffer.read(end - 128 * KIB, end)?.[0]).toBe(30);
  expect(buffer.read(end - 128 * KIB - 1, end)).toBeUndefined();
  buffer.add(end, chunk(64, 32), end - 128 * KIB);
  expect(buffer.read(end - 128 * KIB, end)?.[0]).toBe(30);
});

test("a small blob is buffered as a whole, also when it is written", async () => {
  const buffer = new TailBuffer(scarce());
  for (let index = 0; index < 4; index += 1) {
    buffer.add(index * 64 * KIB, chunk(64, index), index * 64 * KIB);
  }
  expect((await buffer.whole(256 * KIB)?.bytes())?.at(-1)).toBe(3);
});

test("a chunk larger than the capacity is buffered as a whole, until the next but one has come", () => {
  const buffer = new TailBuffer(scarce());
  buffer.add(0, chunk(64, 1));
  buffer.add(64 * KIB, chunk(2048, 2));
  expect(buffer.read(0, Infinity)?.byteLength).toBe(64 * KIB);
  buffer.add(2112 * KIB, chunk(64, 3));
  expect(buffer.read(0, Infinity)).toBeUndefined();
  expect(buffer.read((2112 - 256) * KIB, Infinity)?.[0]).toBe(2);
});

test("a chunk that does not follow on the last one empties the buffer first", () => {
  const buffer = new TailBuffer();
  buffer.add(0, chunk(1, 1));
  buffer.add(5000, chunk(1, 2));
  expect(buffer.read(0, Infinity)).toBeUndefined();
  expect(buffer.read(5000, 5001)).toEqual(Buffer.of(2));
});

test("memory is used again", () => {
  const pool = scarce();
  const used = new Set<ArrayBufferLike>();
  for (let round = 0; round < 2; round += 1) {
    const buffer = new TailBuffer(pool);
    for (let at = 0; at < 100 * 100 * KIB; at += 100 * KIB) {
      buffer.add(at, chunk(100, at));
      const read = buffer.read(at, Infinity);
      if (read) used.add(read.buffer);
    }
    buffer.clear();
    expect(buffer.read(99 * 100 * KIB, Infinity)).toBeUndefined();
  }
  // 256 KiB, and a chunk and a block of 64 KiB more.
  expect(used.size).toBeLessThanOrEqual(9);
});
