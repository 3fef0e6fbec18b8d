import { expect, test } from "bun:test";
import type { Tag } from "../../oci/names.ts";
import { parseTag } from "../../oci/names.ts";
import { configErrorOf, load } from "../configtest/load-text.ts";
import { policyMatch } from "../policies/policy-match.ts";

const invalid: [what: string, yaml: string, message: string][] = [
  [
    "policies that cannot be meant",
    `policies:
  - { match: docker.io/**, minAge: soon }
  - { match: docker.io, minAge: 3d }
  - { match: example.com/**, minAge: 3d, first: refuse }
  - { match: "docker.io/**", first: hold }
  - { match: "docker.io/a@sha256:00", minAge: 3d, digests: hide }
  - { match: "docker.io/**:v[", minAge: 400d }
`,
    `@:2:36: policies[0].minAge: "soon" is not a valid duration: write a number with a unit, such as 12h or 3d, or 0
@:4:49: policies[2].first: must be one of "allow", "hold"
@:6:14: policies[4].match: "docker.io/a@sha256:00" names a digest: rules are for tags, and hold for the digests that they have
@:6:60: policies[4].digests: must be one of "pass", "hold"
@:7:14: policies[5].match: "docker.io/**:v[" has a tag that has a [ that is not closed, or has invalid content
@:7:41: policies[5].minAge: "400d" is longer than a year (365d)`,
  ],
  [
    "policies for registries that there are not",
    `policies:
  - { match: docker.io, minAge: 3d }
  - { match: example.com/**, minAge: 3d }
  - { match: "docker.io/**", first: hold, lists: hide }
  - { match: "docker.io/**" }
`,
    `@:2:14: policies[0].match: "docker.io" names no repository: write it with its registry, such as docker.io/**
@:3:14: policies[1].match: "example.com/**" matches nothing, since "example.com" is no registry of this cache: begin with one of docker.io, ghcr.io, quay.io, registry.k8s.io, reg.kyverno.io
@:4:30: policies[2].first: needs minAge: write how old a digest has to be
@:4:43: policies[2].lists: needs minAge: write how old a digest has to be
@:5:5: policies[3]: asks for nothing: write minAge, such as minAge: 3d, or verify`,
  ],
];

test.each(invalid)("%s are rejected", (_, yaml, message) => {
  expect(configErrorOf(() => load(yaml))).toBe(message.replaceAll(/^@/gm, "/etc/e.yaml"));
});

test("rules have defaults, and keep their order", () => {
  const { policies = [] } = load(`policies:
  - { match: "docker.io/acme/**", minAge: 0 }
  - { match: "docker.io/**:v*", minAge: 1d12h, first: hold, digests: hold, lists: hide }
`);
  expect(policies.map(({ match, age }) => [match.text, age])).toEqual([
    ["docker.io/acme/**", { minAge: 0, first: "allow", digests: "pass", lists: "show" }],
    ["docker.io/**:v*", { minAge: 129_600_000, first: "hold", digests: "hold", lists: "hide" }],
  ]);
});

const tagOf = (text: string): Tag => {
  const tag = parseTag(text);
  if (!tag) throw new Error(text);
  return tag;
};

test.each([
  ["docker.io/**", "docker.io", "library/node", "24", true],
  ["docker.io/*", "docker.io", "library/node", "24", false],
  ["docker.io/library/node", "docker.io", "library/node", "24", true],
  ["docker.io/library/node:2*", "docker.io", "library/node", "24", true],
  ["docker.io/library/node:2*", "docker.io", "library/node", "3", false],
  ["**", "ghcr.io", "a/b", "x", true],
  ["ghcr.io/**", "docker.io", "ghcr.io/x", "x", false],
])("whether %s matches %s/%s:%s", (pattern, upstream, repository, tag, isMatch) => {
  const match = policyMatch(pattern);
  if (typeof match === "string") throw new Error(match);
  expect(match.matches({ upstream, repository }, tagOf(tag))).toBe(isMatch);
});
