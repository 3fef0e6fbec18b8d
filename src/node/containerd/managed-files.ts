import { posix } from "node:path";
import type { FileView } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import type { ManagedBy } from "../managed-by.ts";
import { detectManager } from "../managed-by.ts";
import { DEFAULT_CONFIG } from "./default-paths.ts";

/**
 * What manages the main configuration file at `main`. Undefined if the operator does.
 *
 * @param isAssumed whether no option and no process named the file: then a distribution with a containerd
 *   of its own is recognised by its directories
 */
export function managerOf(view: FileView, main: string, isAssumed: boolean): ManagedBy | undefined {
  const own = isAssumed && view.read(main) === undefined ? ownContainerd(view) : undefined;
  const distribution = detectManager(view, main);
  const ownsFiles = distribution && (distribution.ownsConfig || distribution.ownsHosts);
  return (
    own ??
    (ownsFiles ? distribution : undefined) ??
    nixos(view, main) ??
    nodeadm(view, main) ??
    deckhouse(view) ??
    spegel(view, main) ??
    kubespray(view, main) ??
    distribution
  );
}

/** What becomes of changes to a node or a file that something manages. */
export function lossText({ ownsConfig, ownsHosts }: ManagedBy): string {
  if (ownsConfig && ownsHosts)
    return "changes to config.toml and to hosts.toml files would be lost";
  if (ownsConfig) return "a change to it would be lost; hosts.toml files stay";
  return ownsHosts ? "hosts.toml files would be lost; changes to config.toml stay" : "changes stay";
}

/** Distributions with a containerd of their own, whose root has no file of the system's containerd. */
const OWN_CONTAINERDS: readonly (Omit<ManagedBy, "evidence" | "ownsConfig" | "ownsHosts"> & {
  readonly directories: readonly string[];
})[] = [
  {
    name: "k3s",
    directories: ["/var/lib/rancher/k3s", "/etc/rancher/k3s"],
    advice:
      "put the mirrors into /etc/rancher/k3s/registries.yaml (entrepot render k3s writes it) and restart k3s",
  },
  {
    name: "RKE2",
    directories: ["/var/lib/rancher/rke2", "/etc/rancher/rke2"],
    advice:
      "put the mirrors into /etc/rancher/rke2/registries.yaml (entrepot render rke2 writes it) and restart rke2",
  },
  {
    name: "k0s",
    directories: ["/etc/k0s", "/var/lib/k0s"],
    advice:
      "put config_path into a file in /etc/k0s/containerd.d/ and restart k0s; name /etc/k0s/containerd.toml with --containerd-config to wire the hosts directories",
  },
  {
    name: "MicroK8s",
    directories: ["/var/snap/microk8s", "/snap/microk8s"],
    advice:
      "name /var/snap/microk8s/current/args/containerd.toml with --containerd-config: its certs.d can be wired",
  },
];

function ownContainerd(view: FileView): ManagedBy | undefined {
  for (const { directories, ...known } of OWN_CONTAINERDS) {
    const found = directories.find((directory) => view.isDirectory(directory));
    if (found === undefined) continue;
    const evidence = `${found} exists, and ${DEFAULT_CONFIG} does not`;
    return { ...known, evidence, ownsConfig: true, ownsHosts: true, isElsewhere: true };
  }
  return undefined;
}

function nixos(view: FileView, main: string): ManagedBy | undefined {
  const isInStore = [main, view.resolve(main)].some((path) => path.includes("/nix/store/"));
  if (!isInStore && !/^ID="?nixos"?$/m.test(textOf(view, "/etc/os-release"))) return undefined;
  return {
    name: "NixOS",
    evidence: isInStore ? `${main} is in /nix/store` : "/etc/os-release says ID=nixos",
    ownsConfig: true,
    // environment.etc makes symbolic links into the store, which no file can be written through.
    ownsHosts: false,
    advice:
      'set virtualisation.containerd.settings.plugins."io.containerd.grpc.v1.cri".registry.config_path = "/etc/containerd/certs.d" and run nixos-rebuild switch; then the hosts directories can be wired here',
  };
}

/** nodeadm of EKS's AL2023 images writes config.toml at every boot. */
function nodeadm(view: FileView, main: string): ManagedBy | undefined {
  const evidence = [
    "/etc/systemd/system/nodeadm-config.service",
    "/etc/systemd/system/nodeadm-run.service",
    "/usr/bin/nodeadm",
  ].find((path) => view.read(path) !== undefined);
  if (evidence === undefined || main !== DEFAULT_CONFIG) return undefined;
  return {
    name: "EKS's nodeadm",
    evidence: `${evidence} exists`,
    ownsConfig: true,
    ownsHosts: false,
    advice:
      'put config_path = "/etc/containerd/certs.d" into spec.containerd.config of the NodeConfig in the user data; the hosts directories can be wired here, or in the user data too',
  };
}

/** Deckhouse's bashible writes config.toml from /etc/containerd/conf.d again at every run. */
function deckhouse(view: FileView): ManagedBy | undefined {
  const evidence = ["/opt/deckhouse", "/var/lib/bashible"].find((path) => view.isDirectory(path));
  if (evidence === undefined) return undefined;
  return {
    name: "Deckhouse",
    evidence: `${evidence} exists`,
    ownsConfig: true,
    ownsHosts: false,
    advice:
      "add a NodeGroupConfiguration that writes the setting into /etc/containerd/conf.d (cri type Containerd), or the hosts.toml files into /etc/containerd/registry.d (ContainerdV2)",
  };
}

/** Spegel writes its mirrors at every start of its pod, and moves what it finds to `_backup`. */
function spegel(view: FileView, main: string): ManagedBy | undefined {
  const backup = posix.join(posix.dirname(main), "certs.d/_backup");
  if (!view.isDirectory(backup)) return undefined;
  return {
    name: "Spegel",
    evidence: `${backup} exists`,
    ownsConfig: false,
    ownsHosts: true,
    advice:
      "add the cache to spegel.additionalMirrorTargets of its Helm chart; if Spegel is gone, remove _backup",
  };
}

/** kubespray's template of config.toml has no mark: its kubelet.env is recognised. */
function kubespray(view: FileView, main: string): ManagedBy | undefined {
  const file = "/etc/kubernetes/kubelet.env";
  if (main !== DEFAULT_CONFIG || !/^KUBELET_ADDRESS=/m.test(textOf(view, file))) return undefined;
  return {
    name: "kubespray",
    evidence: `${file} looks like its own`,
    ownsConfig: true,
    ownsHosts: false,
    advice:
      "set containerd_use_config_path: true in the inventory and run its playbook; the hosts directories can be wired here, or in containerd_registries_mirrors",
  };
}

const MARKS: readonly (readonly [name: string, mark: RegExp, advice: string])[] = [
  ["Puppet", /managed by puppet/i, "put the setting into the Puppet resource that writes the file"],
  [
    "Ansible",
    /ansible[ _]managed|managed by ansible/i,
    "put the setting into its Ansible template",
  ],
  ["Chef", /(?:managed|generated|maintained) by chef/i, "put the setting into its Chef template"],
  ["Salt", /(?:managed|controlled) by salt/i, "put the setting into its Salt state"],
];

/** What writes one file of the configuration again and again, by its name or its first lines. */
export function fileManager(view: FileView, path: string): ManagedBy | undefined {
  const text = textOf(view, path);
  const owns = { ownsConfig: true, ownsHosts: false };
  const isDropIn = /\/conf(?:ig)?\.d\//.test(path);
  if (isDropIn && (/nvidia/i.test(posix.basename(path)) || text.includes("/nvidia/toolkit/"))) {
    return {
      name: "NVIDIA's GPU operator",
      evidence: "it configures nvidia-container-runtime",
      ...owns,
      advice:
        "put the registry's settings into the file that imports it; before 2.0 an import replaces CRI's whole table, so there have the toolkit edit that file itself (its RUNTIME_DROP_IN_CONFIG and RUNTIME_CONFIG_SOURCE=file)",
    };
  }
  const head = text.split("\n", 10).filter((line) => line.startsWith("#"));
  const found = MARKS.find(([, mark]) => head.some((line) => mark.test(line)));
  if (found === undefined) return undefined;
  const [name, , advice] = found;
  return { name, evidence: "its first lines say so", ...owns, advice };
}

function textOf(view: FileView, path: string): string {
  try {
    return readText(view, path) ?? "";
  } catch {
    // The detection is a heuristic: a file that cannot be read is no evidence for any manager.
    return "";
  }
}
