import { expect, test } from "bun:test";
import { array, assert, constantFrom, integer, property, tuple, uniqueArray } from "fast-check";
import { TomlDocument, TomlSyntaxError } from "./toml-document.ts";
import { removeSubtree, setString } from "./toml-edit.ts";

const cri = ["plugins", "io.containerd.grpc.v1.cri"];
const registry = [...cri, "registry"];

const removals: [name: string, before: string, path: string[], after: string][] = [
  [
    "tables but not their comments",
    '# top\n[a]\n  x = 1 # one\n  [a.m]\n    # why\n    [a.m."docker.io"] # hub\n      endpoint = ["u"] # the old one\n  [a.n]\n    y = 2\n',
    ["a", "m"],
    "# top\n[a]\n  x = 1 # one\n    # why\n     # hub\n       # the old one\n  [a.n]\n    y = 2\n",
  ],
  ["a dotted key", '[a]\nm."docker.io".endpoint = ["u"]\nx = 1\n', ["a", "m"], "[a]\nx = 1\n"],
  ["an inline table", "[a]\nm = { d = { e = [1] } }\nx = 1\n", ["a", "m"], "[a]\nx = 1\n"],
  [
    "the first key of an inline table",
    "c = { tls = { x = 1 }, auth = 2 }\n",
    ["c", "tls"],
    "c = { auth = 2 }\n",
  ],
  [
    "the last key of an inline table",
    "c = { auth = 2, tls = { x = 1 } }\n",
    ["c", "tls"],
    "c = { auth = 2 }\n",
  ],
  ["the only key of an inline table", "c = { tls = 1 }\n", ["c", "tls"], "c = {  }\n"],
  ["multi-line arrays", "[a]\nm = [\n  1, # one\n  2,\n]\nx = 1\n", ["a", "m"], "[a]\nx = 1\n"],
  ["a table in a file with CRLF", "[a]\r\n[a.m]\r\nx = 1\r\n[b]\r\n", ["a", "m"], "[a]\r\n[b]\r\n"],
  [
    "a table in a file without a final newline",
    "[a]\nx = 1\n[a.m]\ny = 2",
    ["a", "m"],
    "[a]\nx = 1\n",
  ],
];

test.each(removals)("removes %s", (_, before, path, after) => {
  expect(removeSubtree(before, path)).toBe(after);
});

const name = '[plugins."io.containerd.grpc.v1.cri".registry]';
const settings: [name: string, before: string, after: string][] = [
  ["an empty file", "", `${name}\n  config_path = "/c"\n`],
  [
    "a file without the table",
    "version = 2 # two\n",
    `version = 2 # two\n\n${name}\n  config_path = "/c"\n`,
  ],
  [
    "a file without a final newline",
    "version = 2",
    `version = 2\n\n${name}\n  config_path = "/c"\n`,
  ],
  [
    "a table that has the key",
    `${name}\n   config_path = '/a:/b' # two\n`,
    `${name}\n   config_path = "/c" # two\n`,
  ],
  ["a table that is empty", `  ${name} # r\n[b]\n`, `  ${name} # r\n    config_path = "/c"\n[b]\n`],
  ["a table that has other keys", `${name}\n\tx = 1\n`, `${name}\n\tconfig_path = "/c"\n\tx = 1\n`],
  [
    "a table that only has subtables",
    '[b]\n  [plugins."io.containerd.grpc.v1.cri".registry.headers]\n    A = ["b"]\n',
    `[b]\n  ${name}\n    config_path = "/c"\n\n  [plugins."io.containerd.grpc.v1.cri".registry.headers]\n    A = ["b"]\n`,
  ],
  [
    "a table of dotted keys",
    '[plugins."io.containerd.grpc.v1.cri"]\n  registry.headers.A = ["b"]\n',
    '[plugins."io.containerd.grpc.v1.cri"]\n  registry.headers.A = ["b"]\n  registry.config_path = "/c"\n',
  ],
  [
    "an inline table",
    '[plugins."io.containerd.grpc.v1.cri"]\n  registry = { headers = { A = ["b"] } }\n',
    '[plugins."io.containerd.grpc.v1.cri"]\n  registry = { config_path = "/c", headers = { A = ["b"] } }\n',
  ],
];

test.each(settings)("sets a string in %s", (_, before, after) => {
  const text = setString(before, registry, "config_path", "/c");
  expect(text).toBe(after);
  expect(new TomlDocument(text).leaf([...registry, "config_path"])?.value).toBe("/c");
});

test("a key cannot be added inside another inline table", () => {
  const text = 'version = 2\n[plugins]\n"io.containerd.grpc.v1.cri" = { x = 1 }\n';
  expect(() => setString(text, registry, "config_path", "/c")).toThrow("is an inline table");
});

test("a syntax error has a line and a column", () => {
  let failure: unknown;
  try {
    expect(new TomlDocument("version = 2\n[plugins\nx = 1\n")).toBeUndefined();
  } catch (error) {
    failure = error;
  }
  expect(failure).toBeInstanceOf(TomlSyntaxError);
  expect(failure).toMatchObject({ line: 2, column: 9 });
});

test("setting and removing a key does not change any other value", () => {
  const key = constantFrom("a", "b", "registry", "io.containerd.grpc.v1.cri", "x y");
  const table = tuple(array(key, { minLength: 1, maxLength: 4 }), integer());
  assert(
    property(uniqueArray(table, { selector: ([path]) => path.join("/") }), (tables) => {
      const text = tables
        .map(
          ([path, n]) => `[${path.map((part) => JSON.stringify(part)).join(".")}]\nv = ${n} # c\n`,
        )
        .join("");
      const set = setString(text, registry, "config_path", "/c");
      expect(new TomlDocument(set).leaf([...registry, "config_path"])?.value).toBe("/c");
      const back = removeSubtree(set, registry);
      const rest = new TomlDocument(text).leaves.filter(
        (leaf) => !registry.every((p, i) => leaf.path[i] === p),
      );
      expect(new TomlDocument(back).leaves.map((leaf) => [leaf.path, leaf.value])).toEqual(
        rest.map((leaf) => [leaf.path, leaf.value]),
      );
    }),
  );
});
