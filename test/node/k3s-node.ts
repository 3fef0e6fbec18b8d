import { fileURLToPath } from "node:url";
import { Cri } from "../../src/node/containerd/cri/cri.ts";
import { writeFileSync } from "node:fs";
import { type IsolatedNode, startIsolated } from "./isolated.ts";
import { baseConfig } from "./supervised.ts";

const GENERATE = fileURLToPath(new URL("./k3s-hosts.ts", import.meta.url));
export const REGISTRIES = "/etc/rancher/k3s/registries.yaml";
export const CERTS = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d";
export const K3S_SOCKET = "/run/k3s/containerd/containerd.sock";
const HOME = "/var/lib/rancher/k3s/agent/containerd";

/**
 * Stands in for k3s: at each start, it generates the files of its containerd, and starts it. It ends with it, as k3s does.
 *
 * @param configFile the config.toml of its containerd
 */
export const k3sService = (configFile: string): string => `#!/bin/sh
trap 'kill $child; wait $child; exit 0' TERM
mkdir -p /run/k3s/containerd ${CERTS} ${HOME}
cp ${configFile} ${HOME}/config.toml
while true; do
  ${process.execPath} ${GENERATE} ${REGISTRIES} ${CERTS}
  containerd --config ${HOME}/config.toml --root ${HOME}/root --state /run/k3s/state --address ${K3S_SOCKET} &
  child=$!
  echo $child > /run/k3s/pid
  wait
done
`;

const cri = `plugins."io.containerd.grpc.v1.cri"`;
/** What k3s would generate, for file systems on which overlayfs works. */
export const K3S_CONFIG = `${baseConfig({ etc: "", config: "", certs: CERTS, socket: K3S_SOCKET, root: `${HOME}/root`, state: "" })}
  [${cri}.registry]
    config_path = "${CERTS}"
`;
const config = K3S_CONFIG.replace(`snapshotter = "overlayfs"`, `snapshotter = "native"`);

/** Its option for `entrepot node`: systemd does not run in there. */
export const RESTART = ["--restart-command", "kill $(cat /run/k3s/pid)"];

/** A node with a real containerd, started with what k3s would generate for it. */
export function startK3s(etc: Readonly<Record<string, string>>): Promise<IsolatedNode> {
  return startIsolated({
    name: "a node with k3s's containerd",
    etc,
    command: (dir) => {
      writeFileSync(dir.file("config.toml"), config);
      writeFileSync(dir.file("service.sh"), k3sService(dir.file("config.toml")));
      return ["/bin/sh", dir.file("service.sh")];
    },
    ready: async (node) => {
      const client = new Cri(node.inside(K3S_SOCKET));
      try {
        return await client.version(1_000);
      } finally {
        client.close();
      }
    },
  });
}
