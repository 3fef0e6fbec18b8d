import { expect, test } from "bun:test";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import type { DesiredState } from "../../plan.ts";
import { planTrees } from "./plan-hosts.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";

const CACHE = "http://cache:5000";
const desired: DesiredState = {
  cache: CACHE,
  namespaces: ["ghcr.io"],
  useDefault: false,
  adopt: true,
  replace: false,
  dialTimeout: "1s",
};
const theirs = `[host."http://theirs"]\n  capabilities = ["pull"]\n`;

/** The hosts.toml of ghcr.io, with the cache and while the cache is taken out. */
function adopted(
  directory: string,
  text: string,
  version = "1.7.24",
): [string, string | undefined] {
  const known = parseContainerdVersion(version);
  if (!known) throw new Error(version);
  const { targets } = planTrees({
    view: new FakeFiles({ [`${directory}/ghcr.io/hosts.toml`]: text }),
    desired,
    conversion: { registries: new Map(), wildcard: undefined, obstacles: [], notes: [] },
    inForce: ["/c", "/d"],
    root: "/c",
    traits: traitsOf(known),
    caFile: "/ca.pem",
  });
  const texts = targets.map(({ path, after, withoutCache: out }): [string, string | undefined] => {
    expect(path).toBe("/c/ghcr.io/hosts.toml");
    return [new TextDecoder().decode(after?.bytes), out && new TextDecoder().decode(out.bytes)];
  });
  const [first] = texts;
  if (!first) throw new Error("nothing is planned");
  return first;
}

test("a sound file is as it was while the cache is out", () => {
  const [after, out] = adopted("/c", theirs);
  expect(after).toContain(CACHE);
  expect(out).toBe(theirs);
});

test("a file with both kinds of line endings keeps each of them where it is adopted", () => {
  for (const [text, version] of [
    [
      `# mine\r\nserver = "https://up"\n\r\n# cellar\n[host."http://theirs"]\r\n\tcapabilities = ["pull"]\n`,
    ],
    [`server = "https://up"\r\n[host."http://theirs"]`],
    [`server = "https://up"\n# the end\r\n`, "2.1.9"],
    [`server = "https://up"`, "2.1.9"],
  ] as const) {
    const [after, out] = adopted("/c", text, version);
    expect(out).toBe(text);
    const lines = after.split(/(?<=\n)/);
    const stood = text.split(/(?<=\n)/);
    let found = 0;
    for (const line of lines) {
      const wanted = stood[found];
      if (wanted !== undefined && line.startsWith(wanted)) found += 1;
    }
    expect({ after, found }).toEqual({ after, found: stood.length });
    expect(after).toContain(CACHE);
  }
});

test("a file from a directory that is no longer read keeps its hosts while the cache is out", () => {
  const [after, out] = adopted("/d", `server = "https://up"\n${theirs}`);
  expect(after).toContain(CACHE);
  expect(out).toContain("http://theirs");
  expect(out).toContain('server = "https://up"');
  expect(out).not.toContain(CACHE);
});

test("a cache that stood there already is asked once, and not while it is out", () => {
  for (const url of [CACHE, `${CACHE}/`]) {
    const [after, out] = adopted("/c", `[host."${url}"]\n${theirs}`);
    expect(after.split("cache:5000").length).toBe(2);
    expect(out).toContain("http://theirs");
    expect(out).not.toContain(CACHE);
  }
});

test("a server alone is still the server while the cache is out", () => {
  const [, out] = adopted("/d", 'server = "https://up"\n');
  expect(out).toContain('[host."https://up"]');
});

test("headers for the server stay where a file is written anew", () => {
  const [after, out] = adopted("/d", `[header]\n  X-Key = "one"\n${theirs}`);
  const header = '[header]\n  "X-Key" = ["one"]\n';
  expect(after).toContain(header);
  expect(out).toContain(header);
});

test("what _default says of a registry stays behind the cache once it has a directory of its own", () => {
  for (const [version, isRead] of [
    ["1.7.24", true],
    ["1.6.0", false],
  ] as const) {
    const known = parseContainerdVersion(version);
    if (!known) throw new Error(version);
    const { targets, notes } = planTrees({
      view: new FakeFiles({ "/c/_default/hosts.toml": `server = "https://all"\n${theirs}` }),
      desired: { ...desired, adopt: false },
      conversion: { registries: new Map(), wildcard: undefined, obstacles: [], notes: [] },
      inForce: ["/c"],
      root: "/c",
      traits: traitsOf(known),
      caFile: "/ca.pem",
    });
    const [target] = targets;
    const texts = [target?.after, target?.withoutCache].map((it) =>
      new TextDecoder().decode(it?.bytes),
    );
    const seen = texts.map((text) => [
      text.includes("http://theirs"),
      text.includes("https://all"),
    ]);
    expect({ version, seen, notes: notes.length }).toEqual({
      version,
      seen: [
        [isRead, isRead],
        [isRead, isRead],
      ],
      notes: isRead ? 1 : 0,
    });
  }
});
