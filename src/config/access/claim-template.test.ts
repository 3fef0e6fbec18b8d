import { expect, test } from "bun:test";
import { claimAt, ClaimTemplate } from "./claim-template.ts";

const POD = {
  sub: "system:serviceaccount:team-a:builder",
  "kubernetes.io": { namespace: "team-a", serviceaccount: { name: "builder", uid: "1" } },
  "https://example.com/groups": ["ops"],
  level: 3,
  slash: "a/b",
  empty: "",
};

function render(template: string, claims: unknown = POD) {
  const parsed = ClaimTemplate.parse(template);
  return typeof parsed === "string" ? { invalid: parsed } : parsed.render(claims);
}

test.each([
  ["{sub}", { text: "system:serviceaccount:team-a:builder" }],
  ["{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}", { text: "team-a/builder" }],
  ["level-{level}", { text: "level-3" }],
  ["{slash}", { text: "a/b" }],
  ["{slash}:{sub}", { text: "a/b:system:serviceaccount:team-a:builder" }],
  // As if it were the namespace a, and an account b/….
  ["{slash}/{sub}", { problem: 'has "/" in the claim "slash"' }],
  ["{empty}", { problem: 'has no claim "empty" that is a text' }],
  ["{nothing}", { problem: 'has no claim "nothing" that is a text' }],
  ["{kubernetes.io}", { problem: 'has no claim "kubernetes.io" that is a text' }],
  ["{constructor.name}", { problem: 'has no claim "constructor.name" that is a text' }],
  [
    "all",
    {
      invalid:
        "has no claim in it, so that all clients would have one name: write one, such as {sub}",
    },
  ],
  ["{sub", { invalid: "has a { or } that stands alone: write {CLAIM}, such as {sub}" }],
  [
    "{sub}{level}",
    {
      invalid:
        'has two claims with nothing between them: write a character, such as /, before "{level}"',
    },
  ],
  [`{${"s".repeat(300)}}`, { invalid: "is longer than 256 characters" }],
])("the template %j makes %j", (template, expected) => {
  expect(render(template)).toEqual(expected);
});

test.each([
  ["https://example.com/groups", ["ops"]],
  ["kubernetes.io.serviceaccount.uid", "1"],
  ["kubernetes.io.serviceaccount.uid.more", undefined],
  ["sub.length", undefined],
])("the claim %s is %j", (path, expected) => {
  expect(claimAt(POD, path)).toEqual(expected);
});
