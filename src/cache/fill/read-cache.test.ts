import { expect, test } from "bun:test";
import { BLOCK_BYTES, ReadCache, RecentBlocks } from "./read-cache.ts";

/** A file of zeros, and where it was read. */
function file() {
  const reads: number[] = [];
  const read = async (first: number, end: number): Promise<Uint8Array> => {
    reads.push(first / BLOCK_BYTES);
    return new Uint8Array(end - first);
  };
  return { reads, read };
}

test("a block that was read is read once, and one that still grows is read again", async () => {
  const { reads, read } = file();
  const cache = new ReadCache(read, new RecentBlocks());
  for (const position of [0, 5, BLOCK_BYTES - 1]) {
    const bytes = await cache.read(position, BLOCK_BYTES);
    expect(bytes.byteLength).toBe(BLOCK_BYTES - position);
  }
  expect(reads).toEqual([0]);
  await cache.read(0, 10);
  expect(reads).toEqual([0, 0]);
});

test("all caches together keep 16 blocks, and forget those first that were read first", async () => {
  const recent = new RecentBlocks();
  const files = Array.from({ length: 20 }, () => file());
  const caches = files.map(({ read }) => new ReadCache(read, recent));
  for (const cache of caches) await cache.read(0, BLOCK_BYTES);
  for (const cache of caches.toReversed()) await cache.read(0, BLOCK_BYTES);
  expect(files.map(({ reads }) => reads.length)).toEqual([
    ...Array.from({ length: 4 }, () => 2),
    ...Array.from({ length: 16 }, () => 1),
  ]);
});
