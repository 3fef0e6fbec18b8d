import { expect, test } from "bun:test";
import { assert, property, string } from "fast-check";
import { looksLikeRegistry, parseRepositoryName, parseTag, parseUpstreamName } from "./names.ts";

test.each([
  ["library/nginx", true],
  ["a", true],
  ["a__b/c-d/e.f", true],
  ["a--b", true],
  ["a".repeat(255), true],
  ["a".repeat(256), false],
  ["", false],
  ["Library/nginx", false],
  ["a//b", false],
  ["/a", false],
  ["a/", false],
  ["../a", false],
  ["a/../b", false],
  ["a..b", false],
  ["a___b", false],
  ["a_-b", false],
  ["-a", false],
  ["a\u0000", false],
  ["a\n", false],
  ["ä", false],
])("%j is a valid repository name: %p", (text, valid) => {
  expect(parseRepositoryName(text) === undefined).toBe(!valid);
});

test.each([
  ["latest", true],
  ["_x", true],
  ["1.2-3_4", true],
  ["a".repeat(128), true],
  ["a".repeat(129), false],
  [".a", false],
  ["-a", false],
  ["a/b", false],
  ["a:b", false],
  ["", false],
  ["a\n", false],
])("%j is a valid tag: %p", (text, valid) => {
  expect(parseTag(text) === undefined).toBe(!valid);
});

test.each([
  ["docker.io", "docker.io"],
  ["GHCR.io", "ghcr.io"],
  ["reg.test:5000", "reg.test:5000"],
  ["localhost", "localhost"],
  ["[::1]:5000", "[::1]:5000"],
  ["127.0.0.1:80", "127.0.0.1:80"],
  ["reg.test:0", undefined],
  ["reg.test:65536", undefined],
  ["http://reg.test", undefined],
  ["user@reg.test", undefined],
  ["reg.test/path", undefined],
  ["reg..test", undefined],
  ["-reg.test", undefined],
  ["", undefined],
])("the upstream name %j is parsed as %j", (text, name) => {
  expect<string | undefined>(parseUpstreamName(text)).toBe(name);
});

test("a first component with a dot, a port or localhost is a registry", () => {
  const names = ["ghcr.io", "localhost", "reg:5000", "library", "org"];
  expect(names.filter(looksLikeRegistry)).toEqual(["ghcr.io", "localhost", "reg:5000"]);
});

test("a valid repository name cannot escape a directory", () => {
  assert(
    property(string({ maxLength: 40 }), (text) => {
      const name = parseRepositoryName(text);
      return name === undefined || !/\.\.|\/\/|^\/|[^a-z0-9._/-]/.test(name);
    }),
  );
});
