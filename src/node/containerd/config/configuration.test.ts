import { expect, test } from "bun:test";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import { readConfiguration } from "./configuration.ts";
import { registryTables } from "./registry-tables.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";

function traits(text: string) {
  const version = parseContainerdVersion(text);
  if (!version) throw new Error(text);
  return traitsOf(version);
}

const main = "/etc/containerd/config.toml";
const cri = `plugins."io.containerd.grpc.v1.cri"`;
const images = `plugins."io.containerd.cri.v1.images"`;
const path = (table: string, value: string): string =>
  `[${table}.registry]\nconfig_path = "${value}"\n`;

function pattern(version: string, files: Record<string, string>) {
  const read = readConfiguration(new FakeFiles(files), main, traits(version));
  return {
    ...registryTables(read, traits(version)),
    defects: read.defects.map((it) => it.kind),
    writeTo: read.writeTo,
  };
}

// Each tried on real containerd 1.6.20, 1.7.24 and 2.1.9; 2.2 and 2.3 from the notes.
const tables: [version: string, text: string, directories: string[], defects: string[]][] = [
  ["1.6.20", path("plugins.cri", "/a"), ["/a"], []],
  ["1.6.20", path(cri, "/a"), [], ["table-ignored"]],
  ["2.1.9", path("plugins.cri", "/a"), [], ["table-ignored"]],
  ["2.1.9", path(cri, "/a"), [], ["table-ignored"]],
  ["2.1.9", path(images, "/a"), ["/a"], []],
  ["1.7.24", `version = 2\n${path(cri, "/a")}`, ["/a"], []],
  ["2.1.9", `version = 2\n${path(cri, "/a")}`, ["/a"], []],
  ["2.1.9", `version = 2\n${path(images, "/a")}`, ["/a"], []],
  ["2.1.9", `version = 2\n${path(cri, "/a")}${path(images, "/b")}`, ["/a"], ["table-ignored"]],
  ["2.1.9", `version = 3\n${path(cri, "/a")}`, [], ["table-ignored"]],
  ["2.1.9", `version = 3\n${path(images, "/a")}`, ["/a"], []],
  ["1.6.20", `version = 3\n${path(cri, "/a")}`, [], ["version-too-new", "table-ignored"]],
  ["2.2.7", "version = 3\n", ["/etc/containerd/certs.d", "/etc/docker/certs.d"], []],
  ["2.1.9", `version = 2\n${path(cri, "/a:/b")}`, ["/a", "/b"], []],
];

test.each(tables)("containerd %s reads %j as %j", (version, text, directories, defects) => {
  expect(pattern(version, { [main]: text })).toMatchObject({ directories, defects });
});

test("an import replaces CRI's table on 1.x and merges on 2.x", () => {
  const files = {
    [main]: `version = 2\nimports = ["conf.d/*.toml"]\n[${cri}]\nsandbox_image = "x"\n${path(cri, "/a")}`,
    "/etc/containerd/conf.d/b.toml": `[${cri}]\ndisable_apparmor = true\n`,
    "/conf.d/b.toml": `[${cri}]\ndisable_apparmor = true\n`,
  };
  // 1.x looks for a relative glob in the daemon's working directory, which is / under systemd.
  expect(pattern("1.7.24", files)).toMatchObject({
    kind: "none",
    defects: ["table-replaced"],
    writeTo: "/conf.d/b.toml",
  });
  expect(pattern("2.1.9", files)).toMatchObject({ kind: "hosts", defects: [], writeTo: main });
});

test("imports: a missing one, a circle, a newer version", () => {
  const missing = { [main]: `version = 2\nimports = ["/x.toml"]\n` };
  expect(pattern("2.1.9", missing).defects).toEqual(["import-missing"]);
  const circle = {
    [main]: `version = 2\nimports = ["/x.toml"]\n`,
    "/x.toml": `imports = ["${main}"]\n`,
  };
  expect(pattern("2.1.9", circle).defects).toEqual([]);
  const newer = {
    [main]: `version = 2\nimports = ["/x.toml"]\n${path(cri, "/a")}`,
    "/x.toml": "version = 3\n",
  };
  expect(pattern("2.1.9", newer)).toMatchObject({
    kind: "none",
    defects: ["import-too-new", "table-ignored"],
  });
});

test("a list of disabled plugins with CRI in it, in whatever file", () => {
  const docker = { [main]: `disabled_plugins = ["cri"]\n` };
  expect(pattern("1.7.24", docker).defects).toEqual(["cri-disabled"]);
  const imported = {
    [main]: `version = 2\nimports = ["/x.toml"]\ndisabled_plugins = []\n`,
    "/x.toml": `disabled_plugins = ["io.containerd.grpc.v1.cri"]\n`,
  };
  expect(pattern("2.1.9", imported).defects).toEqual(["cri-disabled"]);
});

test("the last import that sets config_path is the one to be edited on 2.x", () => {
  const files = {
    [main]: `version = 2\nimports = ["/d/*.toml"]\n${path(cri, "/a")}`,
    "/d/1.toml": path(cri, "/b"),
    "/d/2.toml": `[metrics]\naddress = "x"\n`,
  };
  expect(pattern("2.1.9", files)).toMatchObject({ directories: ["/b"], writeTo: "/d/1.toml" });
});
