import { describe, expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { RemovalLog } from "../../store/memory/removal-log.ts";
import { type CachedResponse, ResponseCache, type ResponseKey } from "./response-cache.ts";

const bytes = new TextEncoder().encode("{}");

const response: CachedResponse = {
  access: "open",
  route: { kind: "base" },
  path: "/v2/a/manifests/1",
  digest: digestOf(bytes),
  body: bytes,
  size: bytes.byteLength,
  headers: new Headers(),
  accept: "a/b",
  from: 1000,
  until: 2000,
};

const key: ResponseKey = {
  url: "http://cache.test/v2/a/manifests/1?ns=ghcr.io",
  segments: ["a", "manifests", "1"],
  port: undefined,
};

function filled(changes: Partial<CachedResponse> = {}) {
  const revision = { links: 3, tags: 7 };
  const removals = new RemovalLog();
  const cache = new ResponseCache(removals, {
    revisions: [() => revision.links, () => revision.tags],
  });
  cache.set(key, { ...response, ...changes }, cache.snapshot);
  return { cache, revision, removals };
}

test("a response is found while it is fresh", () => {
  const { cache } = filled();
  for (const [now, isFound] of [
    [999, false],
    [1000, true],
    [1999, true],
    [2000, false],
  ] as const) {
    expect([now, cache.get(key, "a/b", now) !== undefined]).toEqual([now, isFound]);
  }
});

describe("a response is not found for", () => {
  test.each<[string, Partial<ResponseKey>, string | null]>([
    ["another URL", { url: "http://cache.test/v2/a/manifests/2?ns=ghcr.io" }, "a/b"],
    ["another path that makes the same URL", { segments: [".", "a\\manifests", "1"] }, "a/b"],
    ["a longer path", { segments: ["a", "manifests", "1", "1"] }, "a/b"],
    ["another Accept header", {}, "c/d"],
    ["no Accept header", {}, null],
  ])("%s", (_, other, accept) => {
    expect(filled().cache.get({ ...key, ...other }, accept, 1500)).toBeUndefined();
  });
});

test("a response that does not depend on the Accept header is found for all of them", () => {
  const { accept: _, ...blob } = response;
  const cache = new ResponseCache(new RemovalLog());
  cache.set(key, blob, cache.snapshot);
  expect(cache.get(key, null, 1500)).toMatchObject({ digest: response.digest });
});

describe("every response is invalid after", () => {
  test.each<[string, (at: ReturnType<typeof filled>) => void]>([
    ["a change that one revision counts", ({ revision }) => (revision.links += 1)],
    ["a change that another revision counts", ({ revision }) => (revision.tags += 1)],
    ["a change of the configuration", ({ cache }) => cache.clear()],
  ])("%s", (_, change) => {
    const at = filled();
    change(at);
    expect(at.cache.get(key, "a/b", 1500)).toBeUndefined();
  });
});

describe("a response is not stored if, while it was made,", () => {
  test.each<[string, (at: ReturnType<typeof filled>) => void]>([
    ["a revision changed", ({ revision }) => (revision.links += 1)],
    ["its blob was removed", ({ removals }) => removals.add(response.digest)],
  ])("%s", (_, change) => {
    const at = filled();
    const before = at.cache.snapshot;
    change(at);
    at.cache.set(key, response, before);
    expect(at.cache.get(key, "a/b", 1500)).toBeUndefined();
  });
});

test("the removal of a blob invalidates its responses and no others", () => {
  const { cache, removals } = filled();
  removals.add(digestOf(new TextEncoder().encode("another")));
  expect(cache.get(key, "a/b", 1500)).toBeDefined();
  removals.add(response.digest);
  expect(cache.get(key, "a/b", 1500)).toBeUndefined();
});

test("a response with a long URL or a large body is not stored", () => {
  const url = `${key.url}&x=${"y".repeat(2000)}`;
  const cache = new ResponseCache(new RemovalLog());
  cache.set({ ...key, url }, response, cache.snapshot);
  expect(cache.get({ ...key, url }, "a/b", 1500)).toBeUndefined();
  const large = filled({ size: 100_000 });
  expect(large.cache.get(key, "a/b", 1500)).toBeUndefined();
});
