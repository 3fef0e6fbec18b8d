import { expect, test } from "bun:test";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import type { DesiredState } from "../../plan.ts";
import { planHosts } from "./plan-hosts.ts";
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
const mirror = `[host."http://mirror"]\n  capabilities = ["pull"]\n`;

/** The merged hosts.toml of ghcr.io: with the cache, and while a watcher has removed the cache. */
function merged(directory: string, text: string, version = "1.7.24"): [string, string | undefined] {
  const parsed = parseContainerdVersion(version);
  if (!parsed) throw new Error(version);
  const { targets } = planHosts({
    view: new FakeFiles({ [`${directory}/ghcr.io/hosts.toml`]: text }),
    desired,
    conversion: { registries: new Map(), wildcard: undefined, obstacles: [], notes: [] },
    inForce: ["/c", "/d"],
    root: "/c",
    traits: traitsOf(parsed),
    caFile: "/ca.pem",
  });
  const texts = targets.map(({ path, after, withoutCache }): [string, string | undefined] => {
    expect(path).toBe("/c/ghcr.io/hosts.toml");
    return [
      new TextDecoder().decode(after?.bytes),
      withoutCache && new TextDecoder().decode(withoutCache.bytes),
    ];
  });
  const [first] = texts;
  if (!first) throw new Error("no target was planned");
  return first;
}

test("a valid file is unchanged while the cache is removed", () => {
  const [after, withoutCache] = merged("/c", mirror);
  expect(after).toContain(CACHE);
  expect(withoutCache).toBe(mirror);
});

test("a merged file with mixed line endings keeps each of them", () => {
  for (const [text, version] of [
    [
      `# mine\r\nserver = "https://up"\n\r\n# on-premises\n[host."http://mirror"]\r\n\tcapabilities = ["pull"]\n`,
    ],
    [`server = "https://up"\r\n[host."http://mirror"]`],
    [`server = "https://up"\n# the end\r\n`, "2.1.9"],
    [`server = "https://up"`, "2.1.9"],
  ] as const) {
    const [after, withoutCache] = merged("/c", text, version);
    expect(withoutCache).toBe(text);
    const lines = after.split(/(?<=\n)/);
    const original = text.split(/(?<=\n)/);
    let found = 0;
    for (const line of lines) {
      const expected = original[found];
      if (expected !== undefined && line.startsWith(expected)) found += 1;
    }
    expect({ after, found }).toEqual({ after, found: original.length });
    expect(after).toContain(CACHE);
  }
});

test("a file from a directory that is no longer read keeps its hosts while the cache is removed", () => {
  const [after, withoutCache] = merged("/d", `server = "https://up"\n${mirror}`);
  expect(after).toContain(CACHE);
  expect(withoutCache).toContain("http://mirror");
  expect(withoutCache).toContain('server = "https://up"');
  expect(withoutCache).not.toContain(CACHE);
});

test("a cache that the file already names is listed once, and not while it is removed", () => {
  for (const url of [CACHE, `${CACHE}/`]) {
    const [after, withoutCache] = merged("/c", `[host."${url}"]\n${mirror}`);
    expect(after.split("cache:5000").length).toBe(2);
    expect(withoutCache).toContain("http://mirror");
    expect(withoutCache).not.toContain(CACHE);
  }
});

test("a server without hosts stays the server while the cache is removed", () => {
  const [, withoutCache] = merged("/d", 'server = "https://up"\n');
  expect(withoutCache).toContain('[host."https://up"]');
});

test("headers of the server stay in a rewritten file", () => {
  const [after, withoutCache] = merged("/d", `[header]\n  X-Key = "one"\n${mirror}`);
  const header = '[header]\n  "X-Key" = ["one"]\n';
  expect(after).toContain(header);
  expect(withoutCache).toContain(header);
});

test("the hosts of _default follow the cache in a new directory of a registry", () => {
  for (const [version, isRead] of [
    ["1.7.24", true],
    ["1.6.0", false],
  ] as const) {
    const parsed = parseContainerdVersion(version);
    if (!parsed) throw new Error(version);
    const { targets, notes } = planHosts({
      view: new FakeFiles({ "/c/_default/hosts.toml": `server = "https://all"\n${mirror}` }),
      desired: { ...desired, adopt: false },
      conversion: { registries: new Map(), wildcard: undefined, obstacles: [], notes: [] },
      inForce: ["/c"],
      root: "/c",
      traits: traitsOf(parsed),
      caFile: "/ca.pem",
    });
    const [target] = targets;
    const texts = [target?.after, target?.withoutCache].map((it) =>
      new TextDecoder().decode(it?.bytes),
    );
    const contains = texts.map((text) => [
      text.includes("http://mirror"),
      text.includes("https://all"),
    ]);
    expect({ version, contains, notes: notes.length }).toEqual({
      version,
      contains: [
        [isRead, isRead],
        [isRead, isRead],
      ],
      notes: isRead ? 1 : 0,
    });
  }
});

test.each([
  ["not wired", [], "after"],
  ["wired, while the cache is removed", ["own.test"], "withoutCache"],
] as const)(
  "converted mirrors of a registry that is %s are foreign to a node without a journal",
  (_, namespaces, state) => {
    const version = parseContainerdVersion("2.1.9") ?? expect.unreachable();
    const input = {
      inForce: ["/c"],
      root: "/c",
      traits: traitsOf(version),
      caFile: "/ca.pem",
    };
    const unconverted = { registries: new Map(), wildcard: undefined, obstacles: [], notes: [] };
    const hosts = [{ url: "https://mirror", capabilities: ["pull", "resolve"] }];
    const own = { registry: "own.test", hosts, server: "https://own.test", root: {} };
    const { targets } = planHosts({
      ...input,
      view: new FakeFiles({}),
      desired: { ...desired, namespaces },
      conversion: { ...unconverted, registries: new Map([["own.test", own]]) },
    });
    const [target] = targets;
    const text = new TextDecoder().decode(target?.[state]?.bytes);
    expect(text).toStartWith("# written by entrepot, without the cache\n");
    const { obstacles } = planHosts({
      ...input,
      view: new FakeFiles({ "/c/own.test/hosts.toml": text }),
      desired: { ...desired, namespaces: ["own.test"], adopt: false },
      conversion: unconverted,
    });
    expect(obstacles.map(({ code }) => code)).toEqual(["foreign-hosts-file"]);
  },
);
