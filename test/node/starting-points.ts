import { brokenHostsPoints } from "./broken-hosts.ts";
import type { StartingPoint } from "./starting-point.ts";
import { cri, host, isNew, onHosts, own } from "./starting-point.ts";
import type { NodePlaces } from "./supervised.ts";
import { baseConfig } from "./supervised.ts";

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
  ...brokenHostsPoints,
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
