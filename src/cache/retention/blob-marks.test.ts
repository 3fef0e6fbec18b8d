import { expect, test } from "bun:test";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { BlobMarks } from "./blob-marks.ts";

const [ONE, OTHER] = [1, 128];

function digests(first: number, count: number): Digest[] {
  return Array.from({ length: count }, (_, at) =>
    digestOf(sampleBytes(10, first + at), at % 3 === 0 ? "sha512" : "sha256"),
  );
}

test("each stored blob has marks of its own, and others have none", async () => {
  const metadata = await openMetadata(":memory:");
  const [stored, absent] = [digests(0, 700), digests(700, 50)];
  for (const digest of stored) await metadata.blobs.put({ digest, size: 10 }, 1);
  const marks = await BlobMarks.read(metadata.blobs);
  const marked = stored.filter((_, at) => at % 7 === 0);
  expect(marked.every((digest) => marks.add(digest, ONE))).toBe(true);
  expect(marked.some((digest) => marks.add(digest, ONE))).toBe(false);
  expect(stored.filter((digest) => marks.has(digest, ONE))).toEqual(marked);
  expect(stored.some((digest) => marks.has(digest, OTHER))).toBe(false);
  expect(marked.every((digest) => marks.add(digest, OTHER))).toBe(true);
  expect(stored.every((digest) => marks.knows(digest))).toBe(true);
  for (const digest of absent) {
    expect([marks.knows(digest), marks.add(digest, ONE), marks.has(digest, ONE)]).toEqual([
      false,
      false,
      false,
    ]);
  }
  await metadata.close();
});
