import { expect, test } from "bun:test";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import { configurationFindings } from "./configuration-findings.ts";
import { readConfiguration } from "../config/configuration.ts";
import { registryTables } from "../config/registry-tables.ts";
import { parseContainerdVersion, traitsOf } from "../traits.ts";

const main = "/etc/containerd/config.toml";
const own = "/etc/containerd/certs.d/ghcr.io/hosts.toml";
const cri = `[plugins."io.containerd.grpc.v1.cri".registry]\n`;
const host = `[host."http://m"]\n`;

const cases: [what: string, version: string, files: Record<string, string>, found: string[]][] = [
  ["nothing at all", "1.7.24", {}, []],
  ["the colon default with nothing in it", "2.2.7", {}, ["note config-path-colon"]],
  ["the colon default with hosts", "2.2.7", { [own]: host }, ["error config-path-colon"]],
  ["hosts and no config_path", "2.1.9", { [own]: host }, ["warning hosts-not-in-force"]],
  [
    "hosts beside old mirrors",
    "1.7.24",
    { [own]: host, [main]: `version = 2\n${cri}mirrors."ghcr.io".endpoint = ["http://m"]\n` },
    ["warning config-deprecated", "warning hosts-not-in-force"],
  ],
  [
    "hosts and their config_path",
    "1.7.24",
    { [own]: host, [main]: `version = 2\n${cri}config_path = "/etc/containerd/certs.d"\n` },
    [],
  ],
  [
    "a drop-in that nothing imports",
    "2.1.9",
    { [main]: "version = 2\n", "/etc/containerd/conf.d/10-x.toml": "version = 2\n" },
    ["warning import-unused"],
  ],
  [
    "one that is imported",
    "2.1.9",
    {
      [main]: `version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n`,
      "/etc/containerd/conf.d/10-x.toml": "version = 2\n",
    },
    [],
  ],
  [
    "a glob that matches nothing",
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
    ["warning config-odd-bytes"],
  ],
  [
    "a byte order mark on 2.x",
    "2.1.9",
    { [main]: "\uFEFFversion = 2\n" },
    ["error config-odd-bytes"],
  ],
  ["version 4 before 2.3", "2.1.9", { [main]: "version = 4\n" }, ["error config-version-too-new"]],
  ["version 4", "2.3.4", { [main]: "version = 4\n" }, ["note config-path-colon"]],
];

test.each(cases)("%s, %s", (_, text, files, found) => {
  const version = parseContainerdVersion(text) ?? expect.unreachable();
  const view = new FakeFiles(files);
  const traits = traitsOf(version);
  const configuration = readConfiguration(view, main, traits);
  const pattern = registryTables(configuration, traits);
  const findings = configurationFindings(view, configuration, pattern, traits, version);
  expect(findings.map(({ severity, code }) => `${severity} ${code}`)).toEqual(found);
});
