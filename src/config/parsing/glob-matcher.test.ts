import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { GlobMatcher, type GlobPart } from "./glob-matcher.ts";

let steps = 0;

function isChar(text: string): (character: string) => boolean {
  return (character) => {
    steps += 1;
    return text === "." || character === text;
  };
}

const one = (text: string): GlobPart => ({ kind: "one", accepts: isChar(text) });
const many = (text: string): GlobPart => ({ kind: "many", accepts: isChar(text) });

/** Tries every way to divide the name among the parts. */
function matchesNaively(parts: readonly GlobPart[], name: string): boolean {
  const [part, ...rest] = parts;
  if (!part) return name === "";
  if (part.kind === "choice") {
    return part.choices.some((choice) => matchesNaively([...choice, ...rest], name));
  }
  const takes = name !== "" && part.accepts(name.charAt(0));
  if (part.kind === "one") return takes && matchesNaively(rest, name.slice(1));
  return matchesNaively(rest, name) || (takes && matchesNaively(parts, name.slice(1)));
}

test("the matcher agrees with one that tries everything", () => {
  const simple = fc.oneof(
    fc.constantFrom("a", "b", ".").map(one),
    fc.constantFrom("a", ".").map(many),
  );
  const choice = fc
    .array(fc.array(simple, { maxLength: 3 }), { maxLength: 3 })
    .map((choices): GlobPart => ({ kind: "choice", choices }));
  const pattern = fc.array(fc.oneof({ weight: 4, arbitrary: simple }, choice), { maxLength: 6 });
  const name = fc
    .array(fc.constantFrom("a", "b", "/"), { maxLength: 8 })
    .map((all) => all.join(""));
  fc.assert(
    fc.property(pattern, fc.array(name, { minLength: 1, maxLength: 8 }), (parts, names) => {
      const matcher = new GlobMatcher(parts);
      for (const text of names) expect(matcher.matches(text)).toBe(matchesNaively(parts, text));
    }),
    { numRuns: 500 },
  );
});

test("the work is at most the length of the pattern times that of the name", () => {
  for (const repeats of [1, 5, 40]) {
    const parts = Array.from({ length: repeats }, () => [many("."), one("-")]).flat();
    const name = "-".repeat(253);
    steps = 0;
    expect(new GlobMatcher([...parts, one("x")]).matches(name)).toBe(false);
    expect(steps).toBeLessThanOrEqual((parts.length + 1) * name.length);
  }
});
