import { brokenHostsPoints } from "./broken-hosts.ts";
import type { StartingPoint } from "./starting-point.ts";
import { cri, host, isNew, onHosts, own } from "./starting-point.ts";
import type { NodePaths } from "./supervised.ts";
import { baseConfig } from "./supervised.ts";

export const startingPoints: readonly StartingPoint[] = [
  {
    name: "nothing configured",
    files: (paths) => ({ "config.toml": baseConfig(paths) }),
    finds: () => [],
  },
  {
    name: "a deprecated wildcard",
    files: (paths) => ({
      "config.toml": `${baseConfig(paths)}  [${cri}.registry]\n    [${cri}.registry.mirrors]\n      # a proxy of Docker Hub\n      [${cri}.registry.mirrors."*"]\n        endpoint = ["http://127.0.0.1:1"] # gone\n`,
    }),
    finds: () => ["config-deprecated", "config-wildcard"],
  },
  {
    name: "a deprecated wildcard that becomes _default",
    files: (paths) => ({
      "config.toml": `${baseConfig(paths)}  [${cri}.registry.mirrors."*"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: () => ["config-deprecated", "config-wildcard"],
    options: ["--default", "--replace"],
  },
  {
    name: "deprecated entries for each registry, with TLS, credentials and headers",
    files: (paths, { cached, secured, credentials }) => ({
      "ca.pem": "@ca",
      "config.toml": `${baseConfig(paths)}  [${cri}.registry]
    [${cri}.registry.headers]
      X-Meta-Node = ["test"]
    [${cri}.registry.mirrors."${cached}"]
      endpoint = ["http://127.0.0.1:1/v2/proxy", "http://${cached}"]
    [${cri}.registry.configs."${secured}".tls]
      ca_file = "${paths.etc}/ca.pem" # ours
    [${cri}.registry.configs."${secured}".auth]
      username = "${credentials.username}"
      password = "${credentials.password}"
`,
    }),
    finds: (line) => ["config-deprecated", ...(isNew(line) ? ["config-tls-dropped"] : [])],
    pullsSecured: true,
  },
  {
    name: "mirrors beside config_path, so that CRI is dead",
    files: (paths, { cached }) => ({
      "config.toml": `${onHosts(paths)}    [${cri}.registry.mirrors."${cached}"]\n      endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: () => ["cri-dead", "config-path-conflict"],
    criIsDead: true,
  },
  {
    name: "hosts directories written by hand, with certificates",
    files: (paths, { cached, secured, credentials }) => ({
      "config.toml": `${onHosts(paths)}  [${cri}.registry.configs."${secured}".auth]\n    username = "${credentials.username}"\n    password = "${credentials.password}"\n`,
      [own(cached)]: `# my mirror\nserver = "http://${cached}"\n\n# in the basement\n${host}`,
      [own(secured)]:
        `server = "https://${secured}"\nca = "ca.pem"\n[host."https://${secured}"]\n  ca = "ca.pem"\n`,
      [`certs.d/${secured}/ca.pem`]: "@ca",
    }),
    finds: () => [],
    options: ["--adopt"],
    blockedWithout: "was not written by entrepot",
    pullsSecured: true,
  },
  {
    name: "certificates in Docker's layout without a hosts.toml",
    files: (paths, { cached, secured, credentials }) => ({
      "config.toml": `${onHosts(paths)}  [${cri}.registry.configs."${secured}".auth]\n    username = "${credentials.username}"\n    password = "${credentials.password}"\n`,
      [`certs.d/${cached}/ca.crt`]: "@ca",
      [`certs.d/${secured}/ca.crt`]: "@ca",
    }),
    finds: () => [],
    pullsSecured: true,
  },
  {
    name: "an import with CRI's table",
    files: (paths) => ({
      "config.toml": `imports = ["${paths.etc}/conf.d/*.toml"]\n${baseConfig(paths)}`,
      "conf.d/10-log.toml": `version = 2\n# longer lines\n[${cri}]\n  max_container_log_line_size = 54321\n  sandbox_image = "localhost/pause:test"\n  disable_apparmor = true\n  restrict_oom_score_adj = true\n`,
    }),
    finds: (line) => (isNew(line) ? [] : ["import-replaces-table"]),
    remains: (line) => (isNew(line) ? [] : ["import-replaces-table"]),
  },
  {
    name: "an import with mirrors",
    files: (paths) => ({
      "config.toml": `imports = ["${paths.etc}/conf.d/*.toml"]\n${baseConfig(paths)}`,
      "conf.d/10-mirrors.toml": `[${cri}.registry.mirrors."*"]\n  endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: (line) => [
      "config-deprecated",
      "config-wildcard",
      ...(isNew(line) ? [] : ["import-replaces-table"]),
    ],
    remains: (line) => (isNew(line) ? [] : ["import-replaces-table"]),
  },
  {
    name: "an import with a newer config version",
    lines: ["2.1"],
    files: (paths) => ({
      "config.toml": `imports = ["${paths.etc}/conf.d/*.toml"]\n${baseConfig(paths)}`,
      "conf.d/10-new.toml": `version = 3\n[plugins."io.containerd.cri.v1.images"]\n  max_concurrent_downloads = 4\n`,
    }),
    finds: () => ["import-version"],
    remains: () => ["import-version"],
  },
  {
    name: "a config_path with two directories",
    files: (paths, { cached }) => ({
      "config.toml": `${baseConfig(paths)}  [${cri}.registry]\n    config_path = '${paths.certs}:${paths.etc}/docker'\n`,
      [`docker/${cached}/ca.crt`]: "@ca",
      "docker/other.test/hosts.toml": `server = "https://other.test"\n${host}`,
    }),
    finds: () => ["config-path-colon"],
  },
  {
    name: "a version 1 file",
    files: (paths) => ({ "config.toml": baseConfig(paths, 1) }),
    finds: () => [],
  },
  {
    name: "a version 1 file with hosts directories",
    files: (paths) => ({
      "config.toml": `${baseConfig(paths, 1)}  [plugins.cri.registry]\n    config_path = "${paths.certs}"\n`,
    }),
    finds: (line) => (isNew(line) ? ["config-table-ignored"] : []),
    remains: (line) => (isNew(line) ? ["config-table-ignored"] : []),
  },
  {
    name: "a version 1 file with deprecated mirrors",
    lines: ["1.6", "1.7"],
    files: (paths, { cached }) => ({
      "config.toml": `${baseConfig(paths, 1)}  [plugins.cri.registry.mirrors."${cached}"]\n    endpoint = ["http://127.0.0.1:1"]\n`,
    }),
    finds: () => ["config-deprecated"],
  },
  {
    name: "a version 3 file",
    lines: ["2.1"],
    files: (paths) => ({ "config.toml": versionThree(paths) }),
    finds: () => [],
  },
  {
    name: "a version 3 file with the table name of version 2",
    lines: ["2.1"],
    files: (paths) => ({
      "config.toml": `${versionThree(paths)}[${cri}.registry]\n  config_path = "${paths.certs}"\n`,
    }),
    finds: () => ["config-table-ignored"],
    remains: () => ["config-table-ignored"],
  },
  ...brokenHostsPoints,
];

function versionThree(paths: NodePaths): string {
  return `version = 3
[grpc]
  address = "${paths.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${paths.root}/opt"
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
