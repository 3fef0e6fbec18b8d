import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { Bucket } from "./bucket.ts";

const digest = digestOf(new Uint8Array());
const HEX = digest.slice(7);

test.each([
  ["https://s3.test/b", true, `https://s3.test/b/blobs/sha256/${HEX}`, "https://s3.test/b?x=1"],
  [
    "http://s3.test:9/b/p/q/",
    true,
    `http://s3.test:9/b/p/q/blobs/sha256/${HEX}`,
    "http://s3.test:9/b?x=1",
  ],
  ["https://b.s3.test", false, `https://b.s3.test/blobs/sha256/${HEX}`, "https://b.s3.test/?x=1"],
  [
    "https://b.s3.test/p",
    false,
    `https://b.s3.test/p/blobs/sha256/${HEX}`,
    "https://b.s3.test/?x=1",
  ],
] as const)("%s has its blobs in a place of their own", (url, isPathStyle, blob, list) => {
  const bucket = new Bucket({ url: new URL(url), isPathStyle });
  expect(bucket.bucket).toBe("b");
  expect(bucket.blobUrl(digest).href).toBe(blob);
  expect(bucket.bucketUrl({ x: "1" }).href).toBe(list);
  expect(bucket.digestOf(bucket.keyOf(digest))).toBe(digest);
});

test("keys that are no blob's are nothing", () => {
  const bucket = new Bucket({ url: new URL("https://s3.test/b/p"), isPathStyle: true });
  const keys = ["", HEX, `p/blobs/sha256/${HEX}x`, `p/blobs/sha256/`, `blobs/sha256/${HEX}`];
  for (const key of keys) expect(bucket.digestOf(key)).toBeUndefined();
  expect(bucket.name).toBe("the shared store s3.test/b/p");
});
