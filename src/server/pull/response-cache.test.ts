import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { RemovalLog } from "../../store/memory/removal-log.ts";
import { type CachedResponse, ResponseCache, type ResponseKey } from "./response-cache.ts";

const bytes = new TextEncoder().encode("{}");

const answer: CachedResponse = {
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

const question: ResponseKey = {
  url: "http://cache.test/v2/a/manifests/1?ns=ghcr.io",
  segments: ["a", "manifests", "1"],
  port: undefined,
};

function started(given: Partial<CachedResponse> = {}) {
  const revision = { links: 3, tags: 7 };
  const removals = new RemovalLog();
  const known = new ResponseCache(
    removals,
    () => revision.links,
    () => revision.tags,
  );
  known.keep(question, { ...answer, ...given }, known.moment);
  return { known, revision, removals };
}

test("the same question has the same answer, while it holds", () => {
  const { known } = started();
  for (const [now, isKnown] of [
    [999, false],
    [1000, true],
    [1999, true],
    [2000, false],
  ] as const) {
    expect([now, known.find(question, "a/b", now) !== undefined]).toEqual([now, isKnown]);
  }
});

test.each<[string, Partial<ResponseKey>, string | null]>([
  ["another address", { url: "http://cache.test/v2/a/manifests/2?ns=ghcr.io" }, "a/b"],
  ["another path, of which a URL makes the same", { segments: [".", "a\\manifests", "1"] }, "a/b"],
  ["a longer path", { segments: ["a", "manifests", "1", "1"] }, "a/b"],
  ["other types", {}, "c/d"],
  ["no types", {}, null],
])("%s is another question", (_, other, accept) => {
  expect(started().known.find({ ...question, ...other }, accept, 1500)).toBeUndefined();
});

test("what does not depend on the types asked for answers all of them", () => {
  const { accept: _, ...blob } = answer;
  const known = new ResponseCache(new RemovalLog());
  known.keep(question, blob, known.moment);
  expect(known.find(question, null, 1500)).toMatchObject({ digest: answer.digest });
});

test.each<[string, (at: ReturnType<typeof started>) => void]>([
  ["a change of one kind", ({ revision }) => (revision.links += 1)],
  ["a change of the other kind", ({ revision }) => (revision.tags += 1)],
  ["a change of the configuration", ({ known }) => known.forget()],
])("%s makes every answer wrong", (_, change) => {
  const at = started();
  change(at);
  expect(at.known.find(question, "a/b", 1500)).toBeUndefined();
});

test.each<[string, (at: ReturnType<typeof started>) => void]>([
  ["a change", ({ revision }) => (revision.links += 1)],
  ["its content's end", ({ removals }) => removals.add(answer.digest)],
])("an answer that %s has overtaken is not kept", (_, change) => {
  const at = started();
  const before = at.known.moment;
  change(at);
  at.known.keep(question, answer, before);
  expect(at.known.find(question, "a/b", 1500)).toBeUndefined();
});

test("a content that goes takes its own answers with it, and no others", () => {
  const { known, removals } = started();
  removals.add(digestOf(new TextEncoder().encode("another")));
  expect(known.find(question, "a/b", 1500)).toBeDefined();
  removals.add(answer.digest);
  expect(known.find(question, "a/b", 1500)).toBeUndefined();
});

test("what would take much memory is not kept", () => {
  const url = `${question.url}&x=${"y".repeat(2000)}`;
  const known = new ResponseCache(new RemovalLog());
  known.keep({ ...question, url }, answer, known.moment);
  expect(known.find({ ...question, url }, "a/b", 1500)).toBeUndefined();
  const large = started({ size: 100_000 });
  expect(large.known.find(question, "a/b", 1500)).toBeUndefined();
});
