import { expect, test } from "bun:test";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import { readConfiguration } from "./configuration.ts";
import { readRegistryTables } from "./registry-tables.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";

function traits(text: string) {
  const version = parseContainerdVersion(text);
  if (!version) throw new Error(text);
  return traitsOf(version);
}

const main = "/etc/containerd/config.toml";
const cri = `plugins."io.containerd.grpc.v1.cri"`;
const images = `plugins."io.containerd.cri.v1.images"`;
const configPath = (table: string, value: string): string =>
  `[${table}.registry]\nconfig_path = "${value}"\n`;

function read(version: string, files: Record<string, string>) {
  const configuration = readConfiguration(new FakeFiles(files), main, traits(version));
  return {
    ...readRegistryTables(configuration, traits(version)),
    defects: configuration.defects.map((it) => it.kind),
    writeTo: configuration.writeTo,
  };
}

// Each tested on real containerd 1.6.20, 1.7.24 and 2.1.9. 2.2 and 2.3 are from the notes of such tests.
const tables: [version: string, text: string, directories: string[], defects: string[]][] = [
  ["1.6.20", configPath("plugins.cri", "/a"), ["/a"], []],
  ["1.6.20", configPath(cri, "/a"), [], ["table-ignored"]],
  ["2.1.9", configPath("plugins.cri", "/a"), [], ["table-ignored"]],
  ["2.1.9", configPath(cri, "/a"), [], ["table-ignored"]],
  ["2.1.9", configPath(images, "/a"), ["/a"], []],
  ["1.7.24", `version = 2\n${configPath(cri, "/a")}`, ["/a"], []],
  ["2.1.9", `version = 2\n${configPath(cri, "/a")}`, ["/a"], []],
  ["2.1.9", `version = 2\n${configPath(images, "/a")}`, ["/a"], []],
  [
    "2.1.9",
    `version = 2\n${configPath(cri, "/a")}${configPath(images, "/b")}`,
    ["/a"],
    ["table-ignored"],
  ],
  ["2.1.9", `version = 3\n${configPath(cri, "/a")}`, [], ["table-ignored"]],
  ["2.1.9", `version = 3\n${configPath(images, "/a")}`, ["/a"], []],
  ["1.6.20", `version = 3\n${configPath(cri, "/a")}`, [], ["version-too-new", "table-ignored"]],
  ["2.2.7", "version = 3\n", ["/etc/containerd/certs.d", "/etc/docker/certs.d"], []],
  ["2.1.9", `version = 2\n${configPath(cri, "/a:/b")}`, ["/a", "/b"], []],
];

test.each(tables)(
  "containerd %s reads the file %j as the directories %j with the defects %j",
  (version, text, directories, defects) => {
    expect(read(version, { [main]: text })).toMatchObject({ directories, defects });
  },
);

test("a table that only lacks the version of its file is told apart from a wrong one", () => {
  const lacks = (version: string, text: string): boolean[] =>
    readConfiguration(new FakeFiles({ [main]: text }), main, traits(version)).defects.flatMap(
      (defect) => (defect.kind === "table-ignored" ? [defect.lacksVersion] : []),
    );
  expect(lacks("1.7.24", configPath(cri, "/a"))).toEqual([true]);
  expect(lacks("2.1.9", configPath(cri, "/a"))).toEqual([true]);
  expect(lacks("2.3.4", configPath(cri, "/a"))).toEqual([]);
  expect(lacks("2.1.9", configPath("plugins.cri", "/a"))).toEqual([false]);
  expect(lacks("2.1.9", `version = 3\n${configPath(cri, "/a")}`)).toEqual([false]);
});

// From the source of 2.3, and from a test on 2.3.4.
test.each([
  ["no version, the old table", configPath(cri, "/a"), ["/a"]],
  ["no version, version 1's table", configPath("plugins.cri", "/a"), ["/a"]],
  ["version 1", `version = 1\n${configPath("plugins.cri", "/a")}`, ["/a"]],
  ["the old table beside the new one", configPath(cri, "/a") + configPath(images, "/b"), ["/a"]],
  ["version 2, version 1's table", `version = 2\n${configPath("plugins.cri", "/a")}`, undefined],
  ["version 3, the old table", `version = 3\n${configPath(cri, "/a")}`, undefined],
])("2.3 moves each file by itself: %s", (_, text, directories) => {
  const found = read("2.3.4", { [main]: text });
  expect(found.configPath === undefined ? undefined : found.directories).toEqual(directories);
});

test("on 2.3 the mirrors of an older import meet the config_path of a newer root", () => {
  const files = {
    [main]: `version = 3\nimports = ["/x.toml"]\n${configPath(images, "/a")}`,
    "/x.toml": `[plugins.cri.registry.mirrors."x.test"]\nendpoint = ["http://m"]\n`,
  };
  expect(read("2.3.4", files)).toMatchObject({ kind: "both", directories: ["/a"] });
  expect(read("2.1.9", files)).toMatchObject({ kind: "hosts", defects: ["table-ignored"] });
});

test("on 2.3 a newer import stops the daemon only below a root that has a version", () => {
  const files = (root: string, imported: string) => ({
    [main]: `${root}imports = ["/x.toml"]\n`,
    "/x.toml": imported,
  });
  expect(read("2.3.4", files("version = 2\n", "version = 4\n")).defects).toEqual([
    "import-too-new",
  ]);
  expect(read("2.3.4", files("version = 1\n", "version = 2\n")).defects).toEqual([
    "import-too-new",
  ]);
  expect(read("2.3.4", files("", "version = 3\n")).defects).toEqual([]);
  expect(read("2.3.4", files("version = 4\n", "version = 2\n")).defects).toEqual([]);
});

test("an import replaces CRI's table on 1.x and is merged on 2.x", () => {
  const files = {
    [main]: `version = 2\nimports = ["conf.d/*.toml"]\n[${cri}]\nsandbox_image = "x"\n${configPath(cri, "/a")}`,
    "/etc/containerd/conf.d/b.toml": `[${cri}]\ndisable_apparmor = true\n`,
    "/conf.d/b.toml": `[${cri}]\ndisable_apparmor = true\n`,
  };
  // 1.x resolves a relative glob in the daemon's working directory, which is / under systemd.
  expect(read("1.7.24", files)).toMatchObject({
    kind: "none",
    defects: ["table-replaced"],
    writeTo: "/conf.d/b.toml",
  });
  expect(read("2.1.9", files)).toMatchObject({ kind: "hosts", defects: [], writeTo: main });
});

test("a missing import and one of a newer version are defects, a cycle of imports is not", () => {
  const missing = { [main]: `version = 2\nimports = ["/x.toml"]\n` };
  expect(read("2.1.9", missing).defects).toEqual(["import-missing"]);
  const cycle = {
    [main]: `version = 2\nimports = ["/x.toml"]\n`,
    "/x.toml": `imports = ["${main}"]\n`,
  };
  expect(read("2.1.9", cycle).defects).toEqual([]);
  const newer = {
    [main]: `version = 2\nimports = ["/x.toml"]\n${configPath(cri, "/a")}`,
    "/x.toml": "version = 3\n",
  };
  expect(read("2.1.9", newer)).toMatchObject({
    kind: "none",
    defects: ["import-too-new", "table-ignored"],
  });
});

test("CRI in disabled_plugins is a defect in the main file and in an import", () => {
  const docker = { [main]: `disabled_plugins = ["cri"]\n` };
  expect(read("1.7.24", docker).defects).toEqual(["cri-disabled"]);
  const imported = {
    [main]: `version = 2\nimports = ["/x.toml"]\ndisabled_plugins = []\n`,
    "/x.toml": `disabled_plugins = ["io.containerd.grpc.v1.cri"]\n`,
  };
  expect(read("2.1.9", imported).defects).toEqual(["cri-disabled"]);
});

test("on 2.x, the last import that sets config_path is the file to edit", () => {
  const files = {
    [main]: `version = 2\nimports = ["/d/*.toml"]\n${configPath(cri, "/a")}`,
    "/d/1.toml": configPath(cri, "/b"),
    "/d/2.toml": `[metrics]\naddress = "x"\n`,
  };
  expect(read("2.1.9", files)).toMatchObject({ directories: ["/b"], writeTo: "/d/1.toml" });
});
