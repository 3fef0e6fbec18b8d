import { expect, test } from "bun:test";
import { digestNumber } from "../storetest/sample-names.ts";
import { UnreadableBlobs } from "./unreadable-blobs.ts";

const eio = Object.assign(new Error("read"), { code: "EIO" });

test("failed reads are kept with their first and last time, the oldest one first", () => {
  let now = 1;
  const seen: unknown[] = [];
  const blobs = new UnreadableBlobs(
    (digest, { since, last }) => seen.push([digest, since, last]),
    () => now,
  );
  const [one, two] = [digestNumber(1), digestNumber(2)];
  expect(blobs.readFailed(one, eio, 70)).toBe(true);
  now = 2;
  blobs.readFailed(two, eio);
  now = 3;
  blobs.readFailed(one, eio, 70);
  expect(blobs.all()).toEqual([
    [two, { cause: eio, at: 0, since: 2, last: 2 }],
    [one, { cause: eio, at: 70, since: 1, last: 3 }],
  ]);
  expect(seen).toEqual([
    [one, 1, 1],
    [two, 2, 2],
    [one, 1, 3],
  ]);
  expect([blobs.delete(one), blobs.delete(one), blobs.has(one), blobs.size]).toEqual([
    true,
    false,
    false,
    1,
  ]);
});

test("their number is bounded", () => {
  const blobs = new UnreadableBlobs();
  for (let number = 0; number < 20_000; number += 1) blobs.readFailed(digestNumber(number), eio);
  expect(blobs.size).toBe(16_384);
  expect(blobs.has(digestNumber(0))).toBe(false);
  expect(blobs.has(digestNumber(19_999))).toBe(true);
});

test("a limit that a read met is told, and says nothing of the blob", () => {
  const limits: unknown[] = [];
  const blobs = new UnreadableBlobs(undefined, undefined, (cause) => limits.push(cause));
  const noMemory = Object.assign(new Error("stat"), { code: "ENOMEM" });
  expect(blobs.readFailed(digestNumber(1), noMemory)).toBe(false);
  expect(limits).toEqual([noMemory]);
  expect(blobs.size).toBe(0);
});
