import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { digestOf } from "./digest.ts";
import { parseImagePattern } from "./image-pattern.ts";

const digest = digestOf(new TextEncoder().encode("1"));

function image(name: string): {
  upstream: string;
  repository: string;
  tag: string;
  digest: typeof digest;
} {
  const [upstream = "", ...rest] = name.split("/");
  const [repository = "", tag = ""] = rest.join("/").split(":");
  return { upstream, repository, tag, digest };
}

const cases: [pattern: string, full: string, matches: string[], others: string[]][] = [
  [
    "docker.io/library/*:*",
    "docker.io/library/*:*",
    ["docker.io/library/nginx:1", "docker.io/library/redis:latest"],
    ["docker.io/bitnami/nginx:1", "ghcr.io/library/nginx:1"],
  ],
  [
    "registry.k8s.io/pause:3.10",
    "registry.k8s.io/pause:3.10",
    ["registry.k8s.io/pause:3.10"],
    ["registry.k8s.io/pause:3.1", "registry.k8s.io/pause:3x10", "registry.k8s.io/pause:3.10.1"],
  ],
  ["nginx", "docker.io/library/nginx:*", ["docker.io/library/nginx:1"], ["docker.io/x/nginx:1"]],
  ["grafana/loki:3.*", "docker.io/grafana/loki:3.*", ["docker.io/grafana/loki:3.1"], []],
  ["*", "*:*", ["docker.io/a:1", "ghcr.io/b/c:2"], []],
  ["ghcr.io/*", "ghcr.io/*:*", ["ghcr.io/a/b/c:2"], ["quay.io/a:1"]],
  ["reg.test:5000/app", "reg.test:5000/app:*", [], []],
  [`ghcr.io/app@${digest}`, `ghcr.io/app@${digest}`, ["ghcr.io/app:x"], ["ghcr.io/apps:x"]],
];

test.each(cases)(
  "the pattern %p expands to %p and matches only its images",
  (text, full, matches, others) => {
    const pattern = parseImagePattern(text);
    expect(pattern?.text).toBe(full);
    for (const name of matches)
      expect(`${name} ${pattern?.matches(image(name))}`).toBe(`${name} true`);
    for (const name of others)
      expect(`${name} ${pattern?.matches(image(name))}`).toBe(`${name} false`);
  },
);

test("a pattern says of which repositories and of which tag it may be", () => {
  const [tag, stars, ofDigest] = ["reg.test/a:1", "reg.test/a*:1*", `reg.test/a@${digest}`].map(
    parseImagePattern,
  );
  expect([tag?.tag, stars?.tag, ofDigest?.tag]).toEqual(["1", undefined, undefined]);
  const matched = (["a", "ab", "b"] as const).map((repository) =>
    [tag, stars, ofDigest].map((one) =>
      one?.matchesRepository({ upstream: "reg.test", repository }),
    ),
  );
  expect(matched).toEqual([
    [true, true, true],
    [false, true, false],
    [false, false, false],
  ]);
});

test.each([
  "",
  " ",
  "a//b",
  "docker.io/a:",
  "docker.io/a@sha256:1",
  "a b",
  "../x",
  "x/",
  "a".repeat(700),
])("%j is not a valid image pattern", (text) => expect(parseImagePattern(text)).toBeUndefined());

/** Tries every length for each star. */
function matchesNaively(glob: string, text: string): boolean {
  if (glob === "") return text === "";
  if (!glob.startsWith("*"))
    return glob[0] === text[0] && matchesNaively(glob.slice(1), text.slice(1));
  return (
    matchesNaively(glob.slice(1), text) || (text !== "" && matchesNaively(glob, text.slice(1)))
  );
}

test("the pattern of a tag agrees with a matcher that tries everything", () => {
  const text = (characters: readonly string[], maxLength: number) =>
    fc
      .array(fc.constantFrom(...characters), { minLength: 1, maxLength })
      .map((all) => all.join(""));
  fc.assert(
    fc.property(text(["a", "b", "*"], 8), text(["a", "b"], 10), (glob, tag) => {
      const pattern = parseImagePattern(`reg.test/app:${glob}`);
      expect(pattern?.matches(image(`reg.test/app:${tag}`))).toBe(matchesNaively(glob, tag));
    }),
    { numRuns: 1000 },
  );
});

test("a pattern with many stars does not hold the event loop", () => {
  const started = performance.now();
  for (const text of ["*a*a*a*a*a*a*b", "*a".repeat(299)]) {
    expect(parseImagePattern(text)?.matches(image(`docker.io/${"a".repeat(255)}:1`))).toBe(false);
  }
  // A guard only: a regular expression takes ten minutes.
  expect(performance.now() - started).toBeLessThan(1000);
});
