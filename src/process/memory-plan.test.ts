import { expect, test } from "bun:test";
import { memoryPlan } from "./memory-plan.ts";

const MIB = 1024 * 1024;

test.each([
  [64, { heapBasis: 48, received: 2, unsynced: 1, downloads: 16, caches: 8 }],
  [128, { heapBasis: 48, received: 4, unsynced: 2, downloads: 64, caches: 8 }],
  [192, { heapBasis: 48, received: 4, unsynced: 3, downloads: 64, caches: 24 }],
  [256, { heapBasis: 48, received: 4, unsynced: 4, downloads: 64, caches: 24 }],
  [512, { heapBasis: 48, received: 4, unsynced: 8, downloads: 64, caches: 24 }],
  [65_536, { heapBasis: 48, received: 4, unsynced: 16, downloads: 64, caches: 24 }],
])("%i MiB are divided", (mebibytes, expected) => {
  const plan = memoryPlan(mebibytes * MIB);
  const { heapBasis, received, unsynced, downloads, ...rest } = plan;
  const { manifests, lists, smallBlobs, responses } = rest;
  const caches = Math.ceil((manifests + lists + smallBlobs + responses) / MIB);
  const [heap, bytes, dirty] = [heapBasis, received, unsynced].map((size) => size / MIB);
  expect({ heapBasis: heap, received: bytes, unsynced: dirty, downloads, caches }).toEqual(
    expected,
  );
});
