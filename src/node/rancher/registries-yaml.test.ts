import { expect, test } from "bun:test";
import { RegistriesYaml } from "./registries-yaml.ts";

function wired(text: string, registry = "docker.io"): string {
  const yaml = new RegistriesYaml(text, "registries.yaml");
  expect(yaml.defects).toEqual([]);
  const others = yaml.mirrors.get(registry)?.endpoints ?? [];
  yaml.setEndpoints(registry, ["http://cache", ...others], false);
  return yaml.toString();
}

const CACHE = `- "http://cache"`;

test.each([
  [
    "comments, blanks and blank lines",
    `# mine\nmirrors:\n  "docker.io" :\n    endpoint:\n    -   'https://a.test'   # old\n\n\n\nconfigs:\n  a.test:\n    auth:   {username: u,password: p}\n`,
    `# mine\nmirrors:\n  "docker.io" :\n    endpoint:\n    ${CACHE}\n    -   'https://a.test'   # old\n\n\n\nconfigs:\n  a.test:\n    auth:   {username: u,password: p}\n`,
  ],
  [
    "CRLF",
    `mirrors:\r\n  docker.io:\r\n    endpoint:\r\n      - "https://a.test"   # old\r\n`,
    `mirrors:\r\n  docker.io:\r\n    endpoint:\r\n      ${CACHE}\r\n      - "https://a.test"   # old\r\n`,
  ],
  [
    "a byte order mark",
    `\uFEFFmirrors:\n  docker.io:\n    endpoint:\n      - a\n`,
    `\uFEFFmirrors:\n  docker.io:\n    endpoint:\n      ${CACHE}\n      - a\n`,
  ],
  [
    "the start and the end of the document",
    `---\nmirrors:\n  docker.io:\n    endpoint:\n      - a\n...\n`,
    `---\nmirrors:\n  docker.io:\n    endpoint:\n      ${CACHE}\n      - a\n...\n`,
  ],
  [
    "tags",
    `mirrors: !!map\n  docker.io:   !!map\n    endpoint: !!seq\n      - !!str   a\n`,
    `mirrors: !!map\n  docker.io:   !!map\n    endpoint: !!seq\n      ${CACHE}\n      - !!str   a\n`,
  ],
  [
    "another registry, without a line break at the end",
    `mirrors:\n  quay.io:   {endpoint:   [a]}`,
    `mirrors:\n  quay.io:   {endpoint:   [a]}\n  "docker.io":\n    endpoint:\n      ${CACHE}\n`,
  ],
  [
    "a flow mapping",
    `mirrors: {docker.io: {endpoint: ["a"]}}\n\nconfigs:   {}\n`,
    `mirrors: { docker.io: { endpoint: [ "http://cache", "a" ] } }\n\nconfigs:   {}\n`,
  ],
])("an edit leaves %s", (_, before, after) => {
  expect(wired(before)).toBe(after);
});

test("what is anchored, aliased or merged is read, and known to be linked", () => {
  const yaml = new RegistriesYaml(
    `x: &x\n  endpoint: [c]\nmirrors:\n  docker.io: &d\n    endpoint: [a]\n  quay.io: *d\n  ghcr.io:\n    endpoint: &e [b]\n  gcr.io:\n    endpoint: *e\n  reg.test:\n    <<: *x\n  own.test:\n    endpoint: [o]\n`,
    "registries.yaml",
  );
  expect(yaml.defects).toEqual([]);
  expect(yaml.mirrors.get("quay.io")?.endpoints).toEqual(["a"]);
  expect(yaml.mirrors.get("gcr.io")?.endpoints).toEqual(["b"]);
  const linked = [...yaml.mirrors].filter(([, { isLinked }]) => isLinked);
  expect(linked.map(([name]) => name)).toEqual([
    "docker.io",
    "quay.io",
    "ghcr.io",
    "gcr.io",
    "reg.test",
  ]);
});
