import { posix } from "node:path";
import { CA_FILE_NAME } from "../config/containerd/hosts-toml.ts";
import { ETC_CERTS, certsTree, etcCertsTree } from "./hosts-toml.ts";
import { header, type Notes, type RenderedFile, type Target } from "./target.ts";

/** The one table and version that containerd 1.6 to 2.3 all read. */
const REGISTRY_1 = 'plugins."io.containerd.grpc.v1.cri".registry';
/** Its name in a configuration of version 3. */
const REGISTRY_2 = 'plugins."io.containerd.cri.v1.images".registry';

const FILE_FORM =
  "Keep each host a table of its own and `server` above it. A file that does not parse is skipped without a word to whoever pulls.";

export const containerd: Target = {
  name: "containerd",
  title: "containerd, also with kubeadm",
  notes: {
    where: `the hosts.toml files below ${ETC_CERTS}, one folder per registry; the setting config_path into the /etc/containerd/config.toml that is there`,
    apply:
      "hosts.toml is read at every pull; config_path needs `systemctl restart containerd`, which leaves containers running. Then ask CRI: `crictl version`.",
    caveats: [
      "config_path excludes `mirrors` and `configs.….tls` in the same file: with both, containerd runs on and CRI is dead. Take those out first.",
      "One folder only: the colon list that containerd 2.2 has by default is not split by its transfer service.",
      "`ctr images pull` does not read config_path and proves nothing: use `crictl pull`.",
      FILE_FORM,
    ],
  },
  render: (input, notes) => [
    ...etcCertsTree(input, notes),
    {
      path: "/etc/containerd/config.toml.part",
      text: `${header({
        ...notes,
        where: "merge it into /etc/containerd/config.toml, whose version stays as it is",
        caveats: [
          ...notes.caveats.slice(0, 2),
          `In a file of version 3 the table is [${REGISTRY_2}]. On containerd 1 use no drop-in file: it replaces the whole section.`,
        ],
      })}\nversion = 2\n\n[${REGISTRY_1}]\n  config_path = "${ETC_CERTS}"\n`,
    },
  ],
};

export const nerdctl: Target = {
  name: "nerdctl",
  title: "nerdctl",
  notes: {
    where: `below ${ETC_CERTS}; for a user without root below ~/.config/containerd/certs.d`,
    apply: "nothing: nerdctl reads them at every pull",
    caveats: [
      "Kubernetes on the same machine reads them only through containerd's config_path: see `entrepot render containerd`.",
      FILE_FORM,
    ],
  },
  render: (input, notes) => etcCertsTree(input, notes),
};

export const microk8s: Target = {
  name: "microk8s",
  title: "MicroK8s",
  notes: {
    where: "below /var/snap/microk8s/current/args/certs.d, on every node",
    apply: "nothing for hosts.toml; `microk8s stop && microk8s start` if pulls do not change",
    caveats: [
      "MicroK8s brings a docker.io/hosts.toml of its own: this one replaces it. Its config_path is set already.",
      FILE_FORM,
    ],
  },
  render: (input, notes) => certsTree("/var/snap/microk8s/current/args/certs.d", input, notes),
};

export const k0s: Target = {
  name: "k0s",
  title: "k0s 1.27 and newer",
  notes: {
    where: "below /etc/k0s/containerd.d on every worker",
    apply: "`systemctl restart k0sworker` (k0scontroller on a controller that also works)",
    caveats: [
      "k0s reads the drop-in only while /etc/k0s/containerd.toml begins with `# k0s_managed=true`. See what came of it in /run/k0s/containerd-cri.toml.",
      FILE_FORM,
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
  const which = `k0s with containerd 1.7 reads version 2: take the file's second form, which is commented out, in place of the first.`;
  const old = `version = 2\n\n${table(REGISTRY_1)}`.replaceAll(/^(?=.)/gm, "# ");
  return {
    path: "/etc/k0s/containerd.d/entrepot.toml",
    text: `${header({ ...notes, caveats: [which, ...notes.caveats.slice(0, 1)] })}\nversion = 3\n\n${table(REGISTRY_2)}\n${old}`,
  };
}

export const kind: Target = {
  name: "kind",
  title: "kind 0.27 and newer",
  notes: {
    where:
      "certs.d beside kind.yaml, in the folder in which `kind create cluster --config kind.yaml` is typed",
    apply: "the mount is made when the cluster is created; the files in it may change later",
    caveats: [
      "A node of kind is a container: 127.0.0.1 in the cache's address would be the node itself.",
      "Node images before 0.27 lack config_path: add the containerdConfigPatches that are commented out. With a newer image they are harmless on containerd 1.7 and wrong on 2.",
      FILE_FORM,
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
#     [${REGISTRY_1}]
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
  notes: {
    where: "the user data of the node group's launch template, whole as it is",
    apply: "nodes read it when they are made: replace the node group's instances",
    caveats: [
      "The image's own config_path is a colon list, which containerd 2.1 and 2.2 do not split for pulls: the NodeConfig sets a single folder.",
      `With containerd 1.7 the table is [${REGISTRY_1}].`,
      "The private registry of the cluster's region, from which EKS pulls its own parts, is not cached.",
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
      [${REGISTRY_2}]
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
