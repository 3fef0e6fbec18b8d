import { expect, test } from "bun:test";
import { nextLink } from "./link-header.ts";

test.each([
  [null, undefined],
  ['</v2/a?last=b>; rel="next"', "/v2/a?last=b"],
  ["<?last=b>;rel=next", "?last=b"],
  ['<a>; rel="prev", <b,c>; title="x, y"; REL = "Next"', "b,c"],
  ['<a>; rel="prev"', undefined],
  ['<a>; rel="nextish"', undefined],
  ["a; rel=next", undefined],
])("the next link of %p is %p", (header, target) => {
  expect(nextLink(header)).toBe(target);
});

test.each(["<a>;", "<a>; rel=", "; rel", "<", "<a>;  "])(
  "a long header is read in linear time: %p",
  (part) => {
    const startedAt = performance.now();
    expect(nextLink(`<a>;${part.repeat(100_000)}`)).toBeUndefined();
    // Quadratic, it would take minutes.
    expect(performance.now() - startedAt).toBeLessThan(1000);
  },
);
