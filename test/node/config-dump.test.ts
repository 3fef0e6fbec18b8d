import { describe, expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ensureContainerd } from "../../scripts/components/debian.mjs";
import { dumpDifferences, parseDump } from "../../src/node/containerd/config/config-dump.ts";
import { readConfiguration } from "../../src/node/containerd/config/configuration.ts";
import { readRegistryTables } from "../../src/node/containerd/config/registry-tables.ts";
import { parseContainerdVersion, traitsOf } from "../../src/node/containerd/traits.ts";
import { NodeFiles } from "../../src/node/files/node-files.ts";
import { realTest } from "../harness/real-components.ts";
import { run } from "../harness/processes.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { entrepotNode } from "./program.ts";
import { LINES, isLong } from "./supervised.ts";

const cri = `plugins."io.containerd.grpc.v1.cri"`;
const capitals = `PLUGINS."io.containerd.grpc.v1.cri"`;
const images = `plugins."io.containerd.cri.v1.images"`;
const mirror = (table: string, host = "x.test"): string =>
  `[${table}.registry.mirrors."${host}"]\nendpoint = ["http://m:1"]\n`;
const path = (table: string, value = "/a"): string =>
  `[${table}.registry]\nconfig_path = "${value}"\n`;

/** config.toml, and a file that it imports. */
const cases: [name: string, main: string, imported?: string][] = [
  ["no version, the table of version 1", path("plugins.cri")],
  ["no version, the table of version 2", path(cri)],
  ["no version, both tables", path("plugins.cri", "/one") + path(cri, "/two")],
  ["version 1", `version = 1\n${mirror("plugins.cri")}`],
  ["version 1, the table in capitals", `version = 1\n${path("plugins.CRI")}`],
  ["version 2", `version = 2\n${path(cri)}`],
  ["version 2, the table of version 1", `version = 2\n${path("plugins.cri")}`],
  ["version 2, the table of version 3", `version = 2\n${path(images)}`],
  ["version 2, both tables", `version = 2\n${path(images)}${mirror(cri)}`],
  ["version 3, the table of version 2", `version = 3\n${path(cri)}`],
  ["version 3", `version = 3\n${path(images)}`],
  [
    "Plugins",
    `version = 2\n[Plugins."io.containerd.grpc.v1.cri".registry.mirrors."x.test"]\nendpoint = ["http://m:1"]\n`,
  ],
  ["PLUGINS", `version = 2\n${path(capitals)}`],
  ["plugins and PLUGINS", `version = 2\n${path(cri)}${mirror(capitals)}`],
  ["plugins and Plugins", `version = 2\n${path(cri)}${mirror(`P${cri.slice(1)}`)}`],
  ["Registry", `version = 2\n${path(cri).replace("registry", "Registry")}`],
  ["REGISTRY", `version = 2\n${path(cri).replace("registry", "REGISTRY")}`],
  ["Registry of version 3", `version = 3\n${path(images).replace("registry", "Registry")}`],
  [
    "Registry and registry",
    `version = 3\n${path(images, "/b").replace("registry", "Registry")}${path(images)}`,
  ],
  ["Config_Path", `version = 2\n${path(cri).replace("config_path", "Config_Path")}`],
  ["CONFIG_PATH", `version = 2\n${path(cri).replace("config_path", "CONFIG_PATH")}`],
  ["config_path and CONFIG_PATH", `version = 2\n${path(cri)}CONFIG_PATH = "/b"\n`],
  [
    "CONFIG_PATH and Config_Path",
    `version = 2\n[${cri}.registry]\nConfig_Path = "/b"\nCONFIG_PATH = "/a"\n`,
  ],
  [
    "MIRRORS and Endpoint",
    `version = 2\n[${cri}.registry.MIRRORS."x.test"]\nEndpoint = ["http://m:1"]\n`,
  ],
  [
    "MIRRORS and mirrors",
    `version = 2\n${mirror(cri)}${mirror(cri, "y.test").replace("mirrors", "MIRRORS")}`,
  ],
  ["Version", `Version = 2\n${path(cri)}`],
  ["VERSION", `VERSION = 2\n${path(cri)}`],
  ["Version and version", `Version = 3\nversion = 2\n${path(cri)}`],
  ["Imports", `version = 2\nImports = ["@"]\n`, path(cri, "/imported")],
  ["IMPORTS", `version = 2\nIMPORTS = ["@"]\n`, path(cri, "/imported")],
  [
    "an import in another case",
    `version = 2\nimports = ["@"]\n${path(cri, "/root")}`,
    path(cri).replace("config_path", "Config_Path"),
  ],
  ["an import without a version", `version = 2\nimports = ["@"]\n${path(cri)}`, mirror(cri)],
  [
    "an import of version 1",
    `version = 2\nimports = ["@"]\n${path(cri)}`,
    `version = 1\n${mirror("plugins.cri")}`,
  ],
  [
    "an import of version 2 under one without",
    `imports = ["@"]\n${path("plugins.cri")}`,
    `version = 2\n[${cri}]\nmax_concurrent_downloads = 4\n`,
  ],
  [
    "an import with the old table",
    `version = 2\nimports = ["@"]\n${path(images)}`,
    `version = 2\n${mirror(cri)}`,
  ],
  [
    "an older import under version 3",
    `version = 3\nimports = ["@"]\n${path(images)}`,
    `version = 2\n${mirror(cri)}`,
  ],
  [
    "an import without a version under version 3",
    `version = 3\nimports = ["@"]\n${path(images)}`,
    mirror(cri),
  ],
  [
    "a newer import",
    `version = 2\nimports = ["@"]\n${path(cri)}`,
    `version = 3\n[${images}]\nmax_concurrent_downloads = 4\n`,
  ],
];

// 1.6 reads configurations as 1.7 does.
describe.each(isLong ? LINES : (["1.7", "2.1"] as const))("containerd %s", (line) => {
  realTest("reads config.toml and its imports as this program does", async () => {
    const { bin, version } = await ensureContainerd(line);
    const traits = traitsOf(parseContainerdVersion(version) ?? expect.unreachable());
    await using dir = await tempDir("dump");
    const read = cases.map(async ([name, text, imported], index): Promise<[string, unknown]> => {
      const [main, other] = [dir.file(`${index}.toml`), dir.file(`${index}-imported.toml`)];
      writeFileSync(main, text.replace("@", other));
      writeFileSync(other, imported ?? "");
      const dump = await run([join(bin, "containerd"), "--config", main, "config", "dump"]);
      const configuration = readConfiguration(new NodeFiles(), main, traits);
      // Without a dump the daemon does not start. 1.6 starts, and does not read what it dumps.
      const isRead = !configuration.defects.some(({ kind }) => kind === "version-too-new");
      const dumped = dump.code === 0 && isRead ? parseDump(dump.stdout) : undefined;
      const tables = readRegistryTables(configuration, traits);
      return [name, dumped && dumpDifferences(dumped, tables)];
    });
    const found = (await Promise.all(read)).filter(([, differences]) => differences !== undefined);
    const isEqual = found.map(([name]): [string, unknown] => [name, []]);
    expect(found.length).toBeGreaterThan(cases.length / 2);
    expect(found).toEqual(isEqual);
  });
});

describe.each(isLong ? LINES : (["2.1"] as const))("containerd %s", (line) => {
  realTest("proves the files of another root by its own reading of them", async () => {
    const { bin } = await ensureContainerd(line);
    const binary = join(bin, "containerd");
    await using dir = await tempDir("proof");
    const etc = dir.file("etc/containerd");
    const write = (name: string, text: string): void => {
      mkdirSync(dirname(join(etc, name)), { recursive: true });
      writeFileSync(join(etc, name), text);
    };
    const root = ["--root", dir.path, "--containerd-binary", binary];
    const desired = ["--cache", "http://cache:5000", "--upstream", "ghcr.io"];
    write("config.toml", `version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n`);
    write("conf.d/10-mirrors.toml", mirror(cri));
    const check = await entrepotNode(["check", ...root]);
    expect(check.text).toContain(`(${binary} --version)`);
    expect(check.text).not.toContain("dump-differs");
    const applied = await entrepotNode(["apply", ...desired, ...root]);
    expect(applied).toMatchObject({
      code: 0,
      text: expect.stringContaining(`${binary} reads them as wired`),
    });
    expect(await entrepotNode(["rollback", ...root])).toMatchObject({ code: 0 });
    // One below the root is used without being named, if it runs here.
    const own = dir.file("usr/bin/containerd");
    mkdirSync(dirname(own), { recursive: true });
    writeFileSync(own, `#!/bin/sh\nexec ${binary} "$@"\n`, { mode: 0o755 });
    const found = await entrepotNode(["apply", ...desired, "--root", dir.path]);
    expect(found.text).toContain(`${own} reads them as wired`);
    expect(await entrepotNode(["rollback", ...root])).toMatchObject({ code: 0 });

    // A program that reads the files in another way than its version lets one expect.
    const odd = dir.file("odd");
    writeFileSync(
      odd,
      `#!/bin/sh\n[ "$1" = --version ] && exec ${binary} --version\nprintf '[${cri.replaceAll('"', String.raw`"`)}.registry]\\nconfig_path = "/other"\\n[${cri}.registry.mirrors."y.test"]\\nendpoint = ["http://o:1"]\\n'\n`,
      { mode: 0o755 },
    );
    const options = ["--root", dir.path, "--containerd-binary", odd];
    const differs = await entrepotNode(["check", "--json", ...options]);
    const { findings } = JSON.parse(differs.text) as { findings: { code: string; what: string }[] };
    expect(findings.filter(({ code }) => code === "dump-differs").map(({ what }) => what)).toEqual([
      `containerd config dump shows config_path = "/other", but entrepot read ""`,
      `containerd config dump shows [http://o:1] for mirrors."y.test", but entrepot read no entry`,
      `containerd config dump shows no entry for mirrors."x.test", but entrepot read [http://m:1]`,
    ]);
    expect(await entrepotNode(["apply", ...desired, ...options])).toMatchObject({
      code: 1,
      text: expect.stringContaining(`containerd uses config_path = "/other" instead of`),
    });
  });
});

realTest("a program that is no containerd is refused", async () => {
  const options = ["--root", "/", "--containerd-binary", "/bin/true"];
  expect(await entrepotNode(["check", ...options])).toMatchObject({
    code: 2,
    text: expect.stringContaining("is not a containerd that runs here"),
  });
});
