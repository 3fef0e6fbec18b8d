import { posix } from "node:path";
import { CA_FILE_NAME } from "../config/containerd/hosts-toml.ts";
import { ETC_CERTS, certsTree, etcCertsTree } from "./certs-tree.ts";
import { header, type Notes, type RenderedFile, type Target } from "./target.ts";

/** The registry table of version 2, the only version that containerd 1.6 to 2.3 all read. */
const REGISTRY_TABLE_V2 = 'plugins."io.containerd.grpc.v1.cri".registry';
/** The same table in a configuration of version 3. */
const REGISTRY_TABLE_V3 = 'plugins."io.containerd.cri.v1.images".registry';

const FILE_FORMAT =
  "When you edit a file, keep `server` above the first table and one table per host. containerd ignores a file that it cannot parse, and the pulling client gets no error.";

export const containerd: Target = {
  name: "containerd",
  title: "containerd, also with kubeadm",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: `the hosts.toml files below ${ETC_CERTS}, one directory per registry; config_path in the existing /etc/containerd/config.toml`,
    apply:
      "containerd reads hosts.toml at every pull. For config_path, run `systemctl restart containerd`, which keeps containers running, and check CRI with `crictl version`.",
    caveats: [
      "config_path conflicts with `mirrors` and `configs.….tls`: with both, containerd runs, but CRI does not start. Remove these first.",
      "Name one directory only: the transfer service of containerd 2.1 and newer does not split a colon list, such as the default of 2.2.",
      "`ctr images pull` does not read config_path, so it proves nothing: use `crictl pull`.",
      FILE_FORMAT,
    ],
  },
  render: (input, notes) => [
    ...etcCertsTree(input, notes),
    {
      path: "/etc/containerd/config.toml.part",
      text: `${header({
        ...notes,
        where: "merge this into /etc/containerd/config.toml, and keep the version of that file",
        caveats: [
          ...notes.caveats.slice(0, 2),
          `In a file of version 3, the table is [${REGISTRY_TABLE_V3}]. With containerd 1.x, do not use a drop-in file: it replaces the whole CRI table.`,
        ],
      })}\nversion = 2\n\n[${REGISTRY_TABLE_V2}]\n  config_path = "${ETC_CERTS}"\n`,
    },
  ],
};

export const nerdctl: Target = {
  name: "nerdctl",
  title: "nerdctl",
  credentials: { use: "login", by: "nerdctl" },
  notes: {
    where: `below ${ETC_CERTS}; in rootless mode, below ~/.config/containerd/certs.d`,
    apply: "nothing to do: nerdctl reads the files at every pull",
    caveats: [
      "Kubernetes on the same machine uses these files only if containerd's config_path names the directory: see `entrepot render containerd`.",
      FILE_FORMAT,
    ],
  },
  render: (input, notes) => etcCertsTree(input, notes),
};

export const microk8s: Target = {
  name: "microk8s",
  title: "MicroK8s",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "below /var/snap/microk8s/current/args/certs.d, on every node",
    apply:
      "nothing to do for hosts.toml; run `microk8s stop && microk8s start` if pulls do not change",
    caveats: [
      "MicroK8s installs a docker.io/hosts.toml, which this one replaces. config_path is already set.",
      FILE_FORMAT,
    ],
  },
  render: (input, notes) => certsTree("/var/snap/microk8s/current/args/certs.d", input, notes),
};

export const k0s: Target = {
  name: "k0s",
  title: "k0s 1.27 and newer",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "below /etc/k0s/containerd.d on every worker",
    apply: "`systemctl restart k0sworker` (k0scontroller on a controller that runs pods)",
    caveats: [
      "k0s reads the drop-in only while /etc/k0s/containerd.toml starts with `# k0s_managed=true`. It writes the merged result to /run/k0s/containerd-cri.toml.",
      FILE_FORMAT,
    ],
  },
  render: (input, notes) => [
    k0sDropIn(notes),
    ...certsTree("/etc/k0s/containerd.d/certs.d", input, notes),
  ],
};

function k0sDropIn(notes: Notes): RenderedFile {
  const table = (name: string): string =>
    `[${name}]\n  config_path = "/etc/k0s/containerd.d/certs.d"\n`;
  const note =
    "k0s with containerd 1.7 reads version 2: use the commented-out form at the end instead of the first one.";
  const version2 = `version = 2\n\n${table(REGISTRY_TABLE_V2)}`.replaceAll(/^(?=.)/gm, "# ");
  return {
    path: "/etc/k0s/containerd.d/entrepot.toml",
    text: `${header({ ...notes, caveats: [note, ...notes.caveats.slice(0, 1)] })}\nversion = 3\n\n${table(REGISTRY_TABLE_V3)}\n${version2}`,
  };
}

export const kind: Target = {
  name: "kind",
  title: "kind 0.27 and newer",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where:
      "certs.d beside kind.yaml, in the directory in which you run `kind create cluster --config kind.yaml`",
    apply: "create the cluster, which mounts certs.d; its files may change later",
    caveats: [
      "A kind node is a container: 127.0.0.1 in the cache's URL would be the node itself.",
      "Node images before 0.27 lack config_path: uncomment containerdConfigPatches for them. With newer images, these are harmless on containerd 1.7 and wrong on 2.x.",
      FILE_FORMAT,
    ],
  },
  render: (input, notes) => [
    {
      path: "kind.yaml",
      text: `${header(notes)}
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
# containerdConfigPatches:
#   - |-
#     [${REGISTRY_TABLE_V2}]
#       config_path = "${ETC_CERTS}"
nodes:
  - role: control-plane
    extraMounts:
      - hostPath: ./certs.d
        containerPath: ${ETC_CERTS}
        readOnly: true
`,
    },
    ...certsTree("certs.d", input, notes, {
      path: `certs.d/${CA_FILE_NAME}`,
      seenAs: `${ETC_CERTS}/${CA_FILE_NAME}`,
    }),
  ],
};

export const eks: Target = {
  name: "eks-al2023",
  title: "EKS nodes with Amazon Linux 2023",
  credentials: { use: "pull-secret", by: "containerd" },
  notes: {
    where: "the user data of the node group's launch template, unchanged",
    apply: "replace the node group's instances: nodes read user data only when they are created",
    caveats: [
      "The machine image's config_path is a colon list, which containerd 2.1 and newer do not split for pulls: the NodeConfig sets a single directory.",
      `With containerd 1.7, the table is [${REGISTRY_TABLE_V2}].`,
      "The regional ECR registry from which EKS pulls its own components is not cached.",
    ],
  },
  render: (input, notes) => {
    const scripts = etcCertsTree(input).map(
      ({ path, text }) =>
        `install -d ${posix.dirname(path)}\ncat > ${path} <<'EOF'\n${text.trimEnd()}\nEOF\n`,
    );
    return [
      {
        path: "user-data.txt",
        text: `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="ENTREPOT"

--ENTREPOT
Content-Type: application/node.eks.aws

${header(notes)}apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  containerd:
    config: |
      [${REGISTRY_TABLE_V3}]
      config_path = "${ETC_CERTS}"

--ENTREPOT
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/sh
set -eu
${scripts.join("")}
--ENTREPOT--
`,
      },
    ];
  },
};
