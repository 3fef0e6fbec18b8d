import { runtimeConformance } from "./conformance.ts";

const cri = `plugins."io.containerd.grpc.v1.cri"`;
const status = (name: string, version: string): string =>
  `Package: ${name}\nStatus: install ok installed\nVersion: ${version}\n\n`;
const registriesYaml = `# by hand
mirrors:
  ghcr.io:
    endpoint:
      - "https://former.test" # stays
`;
const registriesConf = `unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "ghcr.io"
location = "ghcr.io"
[[registry.mirror]]
location = "former.test/ghcr.io"
`;

runtimeConformance({
  runtime: "containerd",
  files: {
    "etc/containerd/config.toml": `version = 2 # by hand\n[${cri}.registry.mirrors."ghcr.io"]\n  endpoint = ["http://former.test"]\n`,
    "etc/containerd/certs.d/quay.io/hosts.toml": `server = "https://quay.io"\n[host."https://former.test"]\n`,
    "var/lib/dpkg/status": status("containerd", "1.7.24~ds1-6"),
  },
  namespaces: ["docker.io", "ghcr.io", "quay.io"],
  managed: { "etc/os-release": "ID=talos\n" },
});

runtimeConformance({
  runtime: "k3s",
  files: { "etc/rancher/k3s/registries.yaml": registriesYaml },
  namespaces: ["docker.io", "ghcr.io"],
  shared: {
    path: "etc/rancher/k3s/registries.yaml",
    edit: (text) => text.replace("former.test", "later.test"),
  },
  managed: { "etc/rancher/k3s/registries.yaml": `# Ansible managed\n${registriesYaml}` },
});

runtimeConformance({
  runtime: "rke2",
  files: { "etc/rancher/rke2/registries.yaml": registriesYaml },
  namespaces: ["docker.io", "ghcr.io"],
  managed: { "etc/rancher/rke2/config.yaml.d/50-rancher.yaml": "{}\n" },
  isSameAs: "k3s",
});

runtimeConformance({
  runtime: "docker",
  variant: "classic image store",
  files: {
    "etc/docker/daemon.json": `{ "log-driver":"json-file",\n\t"registry-mirrors": ["https://former.test"] }\n`,
    "var/lib/dpkg/status": status("docker.io", "20.10.24+dfsg1-1"),
  },
  namespaces: ["docker.io"],
  shared: {
    path: "etc/docker/daemon.json",
    edit: (text) => text.replace(`"json-file"`, `"local"`),
  },
  managed: { "etc/docker/daemon.json": { link: "../../nix/store/abc-daemon.json" } },
});

runtimeConformance({
  runtime: "docker",
  variant: "containerd image store",
  files: {
    "etc/docker/daemon.json": `{"features": {"containerd-snapshotter": true}}\n`,
    "etc/docker/certs.d/quay.io/hosts.toml": `server = "https://quay.io"\n[host."https://former.test"]\n`,
    "var/lib/dpkg/status": status("docker-ce", "5:28.5.2-1~debian.12~bookworm"),
  },
  namespaces: ["docker.io", "quay.io"],
  managed: { "etc/docker/certs.d/quay.io/hosts.toml": "# Managed by Puppet\n" },
});

runtimeConformance({
  runtime: "podman",
  files: {
    "etc/containers/registries.conf": registriesConf,
    "var/lib/dpkg/status": status("podman", "4.3.1+ds1-8"),
  },
  namespaces: ["docker.io", "ghcr.io"],
  managed: { "etc/machine-config-daemon/currentconfig": "" },
});

runtimeConformance({
  runtime: "cri-o",
  files: {
    "etc/containers/registries.conf": registriesConf,
    "var/lib/dpkg/status": status("cri-o", "1.34.1-1.1"),
  },
  namespaces: ["docker.io", "ghcr.io"],
  managed: {
    "etc/containers/registries.conf.d/50-entrepot.conf": "# This file is managed by Puppet.\n",
  },
  isSameAs: "podman",
});
