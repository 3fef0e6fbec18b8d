import { expect, test } from "bun:test";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import { configurationFindings } from "./configuration-findings.ts";
import { readConfiguration } from "../config/configuration.ts";
import { readRegistryTables } from "../config/registry-tables.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";

const main = "/etc/containerd/config.toml";
const ghcr = "/etc/containerd/certs.d/ghcr.io/hosts.toml";
const cri = `[plugins."io.containerd.grpc.v1.cri".registry]\n`;
const host = `[host."http://m"]\n`;

const cases: [name: string, version: string, files: Record<string, string>, found: string[]][] = [
  ["no files", "1.7.24", {}, []],
  ["the colon default without hosts directories", "2.2.7", {}, ["note config-path-colon"]],
  ["the colon default with a hosts.toml", "2.2.7", { [ghcr]: host }, ["error config-path-colon"]],
  ["a hosts.toml without config_path", "2.1.9", { [ghcr]: host }, ["warning hosts-not-in-force"]],
  [
    "a hosts.toml beside deprecated mirrors",
    "1.7.24",
    { [ghcr]: host, [main]: `version = 2\n${cri}mirrors."ghcr.io".endpoint = ["http://m"]\n` },
    ["warning config-deprecated", "warning hosts-not-in-force"],
  ],
  [
    "a hosts.toml with config_path",
    "1.7.24",
    { [ghcr]: host, [main]: `version = 2\n${cri}config_path = "/etc/containerd/certs.d"\n` },
    [],
  ],
  [
    "a drop-in that no file imports",
    "2.1.9",
    { [main]: "version = 2\n", "/etc/containerd/conf.d/10-x.toml": "version = 2\n" },
    ["warning import-unused"],
  ],
  [
    "an imported drop-in",
    "2.1.9",
    {
      [main]: `version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n`,
      "/etc/containerd/conf.d/10-x.toml": "version = 2\n",
    },
    [],
  ],
  [
    "globs that match nothing",
    "2.1.9",
    {
      [main]: `version = 2\nimports = ["/etc/containerd/conf.d/[9-0]*.toml", "conf.d/[a*.toml"]\n`,
      "/etc/containerd/conf.d/10-x.toml": "version = 2\n",
    },
    ["warning import-unused"],
  ],
  [
    "a byte order mark on 1.x",
    "1.7.24",
    { [main]: "\uFEFFversion = 2\n" },
    ["warning config-encoding"],
  ],
  [
    "a byte order mark on 2.x",
    "2.1.9",
    { [main]: "\uFEFFversion = 2\n" },
    ["error config-encoding"],
  ],
  ["version 4 before 2.3", "2.1.9", { [main]: "version = 4\n" }, ["error config-version-too-new"]],
  ["version 4", "2.3.4", { [main]: "version = 4\n" }, ["note config-path-colon"]],
];

test.each(cases)("findings about %s on containerd %s", (_, text, files, found) => {
  const version = parseContainerdVersion(text) ?? expect.unreachable();
  const view = new FakeFiles(files);
  const traits = traitsOf(version);
  const configuration = readConfiguration(view, main, traits);
  const tables = readRegistryTables(configuration, traits);
  const findings = configurationFindings(view, configuration, tables, traits, version);
  expect(findings.map(({ severity, code }) => `${severity} ${code}`)).toEqual(found);
});
