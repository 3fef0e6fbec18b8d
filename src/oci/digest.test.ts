import { expect, test } from "bun:test";
import { digestAlgorithm, digestHex, digestOf, parseDigest } from "./digest.ts";

const hex = "ab".repeat(32);
test.each([
  [`sha256:${hex}`, true],
  [`sha512:${hex}${hex}`, true],
  [`sha256:${hex.toUpperCase()}`, false],
  [`sha256:${hex}0`, false],
  [`sha256:${hex.slice(2)}`, false],
  [`sha512:${hex}`, false],
  [`md5:${hex.slice(32)}`, false],
  [`sha256:../../${hex}`, false],
  [`sha256:${hex}\n`, false],
  ["", false],
])("%j is a valid digest: %p", (text, valid) => {
  expect(parseDigest(text) === undefined).toBe(!valid);
});

test("the digest of bytes has the requested algorithm", () => {
  const digest = digestOf(new TextEncoder().encode("abc"), "sha512");
  expect(digestAlgorithm(digest)).toBe("sha512");
  expect(digestHex(digest)).toStartWith("ddaf35a193617aba");
});
