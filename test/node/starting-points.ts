import type { ContainerdLine } from "../../scripts/debian.mjs";
import type { NodePlaces } from "./supervised.ts";
import { baseConfig } from "./supervised.ts";

/** Registries of the test network, as images name them. */
export interface Registries {
  /** Plain http on loopback; the cache serves it. */
  readonly cached: string;
  /** https on an address of this machine with an authority of its own; not cached. */
  readonly secured: string;
  /** PEM of that authority. */
  readonly authority: string;
  readonly credentials: { readonly username: string; readonly password: string };
}

export interface StartingPoint {
  readonly name: string;
  readonly lines?: readonly ContainerdLine[];
  /** Files below /etc/containerd; config.toml among them. */
  readonly files: (
    places: NodePlaces,
    registries: Registries,
    line: ContainerdLine,
  ) => Record<string, string>;
  /** Codes that check has to find on this line. */
  readonly finds: (line: ContainerdLine) => readonly string[];
  /** Options of plan and apply besides the cache. */
  readonly options?: readonly string[];
  /** Without those options the plan is stopped for this reason. */
  readonly stopsWithout?: string;
  /** Codes that stay after the apply, since they are nobody's to change. */
  readonly keeps?: (line: ContainerdLine) => readonly string[];
  readonly criIsDead?: true;
  /** Pulls of the secured registry have to work after the apply. */
  readonly pullsSecured?: true;
}

const cri = `plugins."io.containerd.grpc.v1.cri"`;

const onHosts = (places: NodePlaces): string =>
  `${baseConfig(places)}  [${cri}.registry]\n    config_path = "${places.certs}" # by hand\n`;

/** A hosts.toml for the cached registry, in a file that everything else is right about. */
function brokenHosts(
  name: string,
  hosts: (registry: string) => Record<string, string>,
  finds: StartingPoint["finds"],
  more: Partial<StartingPoint> = {},
): StartingPoint {
  return {
    name,
    files: (places, { cached }) => ({ "config.toml": onHosts(places), ...hosts(cached) }),
    finds,
    options: ["--adopt"],
    stopsWithout: "was written by somebody else",
    ...more,
  };
}

const own = (registry: string): string => `certs.d/${registry}/hosts.toml`;
const host = `[host."http://127.0.0.1:1"]\n  capabilities = ["pull", "resolve"]\n`;
const isNew = (line: ContainerdLine): boolean => line === "2.1";

export const startingPoints: readonly StartingPoint[] = [
  {
    name: "nothing configured",
    files: (places) => ({ "config.toml": baseConfig(places) }),
    finds: () => [],
  },
  {
    name: "a deprecated wildcard",
    files: (places) => ({
      "config.toml": `${baseConfig(places)}  [${cri}.registry]\n    [${cri}.registry.mirrors]\n      # a proxy of Docker Hub\n      [${cri}.registry.mirrors."*"]\n        endpoint = ["http://127.0.0.1:1"] # gone\n`,
    }),
    finds: () => ["config-deprecated", "config-wildcard"],
  },
  {
    name: "a deprecated wildcard that becomes _default",
    files: (places) => ({
      "config.toml": `${baseConfig(places)}  [${cri}.registry.mirrors."*"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: () => ["config-deprecated", "config-wildcard"],
    options: ["--default", "--replace"],
  },
  {
    name: "deprecated entries for each registry, with TLS, credentials and headers",
    files: (places, { cached, secured, credentials }) => ({
      "ca.pem": "@authority",
      "config.toml": `${baseConfig(places)}  [${cri}.registry]
    [${cri}.registry.headers]
      X-Meta-Node = ["test"]
    [${cri}.registry.mirrors."${cached}"]
      endpoint = ["http://127.0.0.1:1/v2/proxy", "http://${cached}"]
    [${cri}.registry.configs."${secured}".tls]
      ca_file = "${places.etc}/ca.pem" # ours
    [${cri}.registry.configs."${secured}".auth]
      username = "${credentials.username}"
      password = "${credentials.password}"
`,
    }),
    finds: (line) => ["config-deprecated", ...(isNew(line) ? ["config-tls-dropped"] : [])],
    pullsSecured: true,
  },
  {
    name: "both patterns at once, CRI dead",
    files: (places, { cached }) => ({
      "config.toml": `${onHosts(places)}    [${cri}.registry.mirrors."${cached}"]\n      endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: () => ["cri-dead", "config-both-patterns"],
    criIsDead: true,
  },
  {
    name: "hosts directories made by hand, with certificates",
    files: (places, { cached, secured, credentials }) => ({
      "config.toml": `${onHosts(places)}  [${cri}.registry.configs."${secured}".auth]\n    username = "${credentials.username}"\n    password = "${credentials.password}"\n`,
      [own(cached)]: `# my mirror\nserver = "http://${cached}"\n\n# in the cellar\n${host}`,
      [own(secured)]:
        `server = "https://${secured}"\nca = "ca.pem"\n[host."https://${secured}"]\n  ca = "ca.pem"\n`,
      [`certs.d/${secured}/ca.pem`]: "@authority",
    }),
    finds: () => [],
    options: ["--adopt"],
    stopsWithout: "was written by somebody else",
    pullsSecured: true,
  },
  {
    name: "certificates in Docker's layout beside no hosts.toml",
    files: (places, { cached, secured, credentials }) => ({
      "config.toml": `${onHosts(places)}  [${cri}.registry.configs."${secured}".auth]\n    username = "${credentials.username}"\n    password = "${credentials.password}"\n`,
      [`certs.d/${cached}/ca.crt`]: "@authority",
      [`certs.d/${secured}/ca.crt`]: "@authority",
    }),
    finds: () => [],
    pullsSecured: true,
  },
  {
    name: "an import that has CRI's table",
    files: (places) => ({
      "config.toml": `imports = ["${places.etc}/conf.d/*.toml"]\n${baseConfig(places)}`,
      "conf.d/10-log.toml": `version = 2\n# longer lines\n[${cri}]\n  max_container_log_line_size = 54321\n  sandbox_image = "localhost/pause:test"\n  disable_apparmor = true\n  restrict_oom_score_adj = true\n`,
    }),
    finds: (line) => (isNew(line) ? [] : ["import-replaces-table"]),
    keeps: (line) => (isNew(line) ? [] : ["import-replaces-table"]),
  },
  {
    name: "an import that names mirrors",
    files: (places) => ({
      "config.toml": `imports = ["${places.etc}/conf.d/*.toml"]\n${baseConfig(places)}`,
      "conf.d/10-mirrors.toml": `[${cri}.registry.mirrors."*"]\n  endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: (line) => [
      "config-deprecated",
      "config-wildcard",
      ...(isNew(line) ? [] : ["import-replaces-table"]),
    ],
    keeps: (line) => (isNew(line) ? [] : ["import-replaces-table"]),
  },
  {
    name: "an import of a newer version",
    lines: ["2.1"],
    files: (places) => ({
      "config.toml": `imports = ["${places.etc}/conf.d/*.toml"]\n${baseConfig(places)}`,
      "conf.d/10-new.toml": `version = 3\n[plugins."io.containerd.cri.v1.images"]\n  max_concurrent_downloads = 4\n`,
    }),
    finds: () => ["import-version"],
    keeps: () => ["import-version"],
  },
  {
    name: "a config_path of two directories",
    files: (places, { cached }) => ({
      "config.toml": `${baseConfig(places)}  [${cri}.registry]\n    config_path = '${places.certs}:${places.etc}/docker'\n`,
      [`docker/${cached}/ca.crt`]: "@authority",
      "docker/other.test/hosts.toml": `server = "https://other.test"\n${host}`,
    }),
    finds: () => ["config-path-colon"],
  },
  {
    name: "a version 1 file",
    files: (places) => ({ "config.toml": baseConfig(places, 1) }),
    finds: () => [],
  },
  {
    name: "a version 1 file with hosts directories",
    files: (places) => ({
      "config.toml": `${baseConfig(places, 1)}  [plugins.cri.registry]\n    config_path = "${places.certs}"\n`,
    }),
    finds: (line) => (isNew(line) ? ["config-table-ignored"] : []),
    keeps: (line) => (isNew(line) ? ["config-table-ignored"] : []),
  },
  {
    name: "a version 1 file with deprecated mirrors",
    lines: ["1.6", "1.7"],
    files: (places, { cached }) => ({
      "config.toml": `${baseConfig(places, 1)}  [plugins.cri.registry.mirrors."${cached}"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: () => ["config-deprecated"],
  },
  {
    name: "a version 3 file",
    lines: ["2.1"],
    files: (places) => ({ "config.toml": versionThree(places) }),
    finds: () => [],
  },
  {
    name: "a version 3 file with the old table's name",
    lines: ["2.1"],
    files: (places) => ({
      "config.toml": `${versionThree(places)}[${cri}.registry]\n  config_path = "${places.certs}"\n`,
    }),
    finds: () => ["config-table-ignored"],
    keeps: () => ["config-table-ignored"],
  },
  brokenHosts(
    "a hosts.toml that is no TOML",
    (registry) => ({
      [own(registry)]: `server = "http://${registry}"\n[host."http://127.0.0.1:1"\n`,
    }),
    () => ["hosts-syntax"],
  ),
  brokenHosts(
    "a hosts.toml with a host twice",
    (registry) => ({ [own(registry)]: `server = "http://${registry}"\n${host}${host}` }),
    () => ["hosts-syntax"],
  ),
  brokenHosts(
    "a hosts.toml with a server alone",
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
    "a hosts.toml with hosts in one line",
    (registry) => ({
      [own(registry)]:
        `server = "http://${registry}"\n[host]\n"http://127.0.0.1:1" = { capabilities = ["pull"] }\n`,
    }),
    () => ["hosts-inline-hosts"],
  ),
  brokenHosts(
    "a hosts.toml with dotted hosts",
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
    { keeps: () => ["hosts-doubled-v2"] },
  ),
  brokenHosts(
    "a host.toml",
    (registry) => ({ [`certs.d/${registry}/host.toml`]: `server = "http://${registry}"\n${host}` }),
    () => ["hosts-misnamed", "hosts-empty-directory"],
    { options: [], keeps: () => ["hosts-misnamed"] },
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
    { keeps: () => ["hosts-shadowed"] },
  ),
];

function versionThree(places: NodePlaces): string {
  return `version = 3
[grpc]
  address = "${places.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${places.root}/opt"
[plugins."io.containerd.cri.v1.runtime"]
  max_container_log_line_size = 12345
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:test"
`;
}
