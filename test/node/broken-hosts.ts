import type { StartingPoint } from "./starting-point.ts";
import { host, isNew, onHosts, own } from "./starting-point.ts";

/** A defective hosts.toml of the cached registry, beside a correct config.toml. */
function brokenHosts(
  name: string,
  hosts: (registry: string) => Record<string, string>,
  finds: StartingPoint["finds"],
  more: Partial<StartingPoint> = {},
): StartingPoint {
  return {
    name,
    files: (paths, { cached }) => ({ "config.toml": onHosts(paths), ...hosts(cached) }),
    finds,
    options: ["--adopt"],
    blockedWithout: "was not written by entrepot",
    ...more,
  };
}

/** Every possible defect of a hosts.toml or its directory, one at a time. */
export const brokenHostsPoints: readonly StartingPoint[] = [
  brokenHosts(
    "a hosts.toml that is not valid TOML",
    (registry) => ({
      [own(registry)]: `server = "http://${registry}"\n[host."http://127.0.0.1:1"\n`,
    }),
    () => ["hosts-syntax"],
  ),
  brokenHosts(
    "a hosts.toml with a duplicate host",
    (registry) => ({ [own(registry)]: `server = "http://${registry}"\n${host}${host}` }),
    () => ["hosts-syntax"],
  ),
  brokenHosts(
    "a hosts.toml that begins with a byte order mark",
    (registry) => ({ [own(registry)]: `\uFEFFserver = "http://${registry}"\n${host}` }),
    () => ["hosts-encoding"],
  ),
  brokenHosts(
    "a hosts.toml with only a server",
    (registry) => ({ [own(registry)]: `server = "http://${registry}"\n` }),
    (line) => (isNew(line) ? [] : ["hosts-no-host"]),
  ),
  brokenHosts(
    "a hosts.toml with an unknown capability",
    (registry) => ({
      [own(registry)]:
        `server = "http://${registry}"\n[host."http://127.0.0.1:1"]\n  capabilities = ["pull", "referrers"]\n`,
    }),
    () => ["hosts-unknown-capability"],
  ),
  brokenHosts(
    "a hosts.toml with hosts as inline tables",
    (registry) => ({
      [own(registry)]:
        `server = "http://${registry}"\n[host]\n"http://127.0.0.1:1" = { capabilities = ["pull"] }\n`,
    }),
    () => ["hosts-inline-hosts"],
  ),
  brokenHosts(
    "a hosts.toml with hosts as dotted keys",
    (registry) => ({
      [own(registry)]:
        `server = "http://${registry}"\nhost."http://127.0.0.1:1".capabilities = ["pull"]\n`,
    }),
    () => ["hosts-inline-hosts"],
  ),
  brokenHosts(
    "a hosts.toml with a dial_timeout that is a number",
    (registry) => ({
      [own(registry)]: `server = "http://${registry}"\n${host}  dial_timeout = 1\n`,
    }),
    () => ["hosts-wrong-type"],
  ),
  brokenHosts(
    "a hosts.toml with its server in a host's table",
    (registry) => ({ [own(registry)]: `${host}server = "http://${registry}"\n` }),
    () => ["hosts-server-in-host"],
  ),
  brokenHosts(
    "a hosts.toml with a certificate that is missing",
    (registry) => ({
      [own(registry)]:
        `server = "http://${registry}"\n[host."https://127.0.0.1:1"]\n  ca = "/nowhere/ca.pem"\n`,
    }),
    () => ["hosts-certificate"],
  ),
  brokenHosts(
    "a hosts.toml with a doubled /v2",
    (registry) => ({
      [own(registry)]: `server = "http://${registry}"\n[host."http://127.0.0.1:1/v2/proxy"]\n`,
    }),
    () => ["hosts-doubled-v2"],
    { remains: () => ["hosts-doubled-v2"] },
  ),
  brokenHosts(
    "a misnamed host.toml",
    (registry) => ({ [`certs.d/${registry}/host.toml`]: `server = "http://${registry}"\n${host}` }),
    () => ["hosts-misnamed", "hosts-empty-directory"],
    { options: [], remains: () => ["hosts-misnamed"] },
  ),
  brokenHosts(
    "an empty directory that shadows _default",
    (registry) => ({
      [`certs.d/${registry}/.keep`]: "",
      "certs.d/_default/hosts.toml": host,
    }),
    () => ["hosts-empty-directory"],
    { options: [] },
  ),
  brokenHosts(
    "an empty hosts.toml",
    (registry) => ({ [own(registry)]: "" }),
    () => ["hosts-empty-directory"],
    { options: [] },
  ),
  brokenHosts(
    "a directory that shadows another",
    (registry) => ({
      [own(registry)]: `server = "http://${registry}"\n${host}`,
      [own(registry.replace(/:(\d+)$/, "_$1_"))]: `server = "http://${registry}"\n${host}`,
    }),
    () => ["hosts-shadowed"],
    { remains: () => ["hosts-shadowed"] },
  ),
];
