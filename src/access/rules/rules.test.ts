import { expect, test } from "bun:test";
import type { AccessRule } from "../../config/access/clients-settings.ts";
import { GlobPattern } from "../../config/parsing/glob-pattern.ts";
import { parseImageReference } from "../../oci/image-reference.ts";
import { decide } from "./rules.ts";

function patterns(texts: string): GlobPattern[] {
  return texts.split(" ").map((text) => {
    const compiled = GlobPattern.compile(text, "text");
    if (typeof compiled === "string") throw new Error(compiled);
    return compiled;
  });
}

function rule(
  effect: AccessRule["effect"],
  principals: string,
  repositories: string,
  line: number,
): AccessRule {
  const from = `e.yaml:${line}:1`;
  return {
    effect,
    principals: patterns(principals),
    repositories: patterns(repositories),
    from,
  };
}

const RULES = [
  rule("allow", "user:alice kubernetes:team-a/*", "ghcr.io/org/**", 1),
  rule("deny", "kubernetes:team-a/intern", "**", 2),
  rule("allow", "user:*", "ghcr.io/org/public docker.io/library/*", 3),
  rule("deny", "**", "ghcr.io/org/secret/**", 4),
  rule("allow", "certificate:spiffe://prod/**", "registry.test:5000/**", 5),
];

test.each([
  ["user:alice", "ghcr.io/org/app", true, "rule 1 (e.yaml:1:1) allows it"],
  ["user:alice", "ghcr.io/org/secret/app", false, "rule 4 (e.yaml:4:1) denies it"],
  ["user:alice", "ghcr.io/organisation", false, "no rule allows it"],
  ["user:alice", "nginx", true, "rule 3 (e.yaml:3:1) allows it"],
  ["user:bob", "ghcr.io/org/app", false, "no rule allows it"],
  ["user:bob", "ghcr.io/org/public", true, "rule 3 (e.yaml:3:1) allows it"],
  ["kubernetes:team-a/web", "ghcr.io/org/app", true, "rule 1 (e.yaml:1:1) allows it"],
  ["kubernetes:team-a/intern", "ghcr.io/org/app", false, "rule 2 (e.yaml:2:1) denies it"],
  ["kubernetes:team-a/web/x", "ghcr.io/org/app", false, "no rule allows it"],
  // A source does not speak for another one.
  ["token:user:alice", "ghcr.io/org/app", false, "no rule allows it"],
  ["certificate:spiffe://prod/ns/x", "registry.test:5000/a", true, "rule 5 (e.yaml:5:1) allows it"],
])("%s and %s: %p, since %s", (name, image, allowed, why) => {
  const repo = parseImageReference(image);
  if (!repo) throw new Error(image);
  expect(decide(RULES, { name }, repo)).toMatchObject({ allowed, why });
});

test("the order of rules decides nothing", () => {
  const repo = parseImageReference("ghcr.io/org/secret/app");
  if (!repo) throw new Error("invalid");
  for (const rules of [RULES, RULES.toReversed()]) {
    expect(decide(rules, { name: "user:alice" }, repo).allowed).toBe(false);
  }
});
