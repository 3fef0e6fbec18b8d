import { randomInt } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where Debian puts the plugins of CNI. */
const PLUGINS = "/usr/lib/cni";

/** A network for the pods of one containerd, of which this machine has the first address. */
export interface PodNetwork {
  readonly gateway: string;
  /** The settings of CRI for it, as a TOML table below `cri`. */
  toml(cri: string): string;
}

/** @param folder an existing folder */
export function makePodNetwork(folder: string): PodNetwork {
  const prefix = `10.${randomInt(128, 255)}.${randomInt(1, 255)}`;
  const configurations = join(folder, "net.d");
  mkdirSync(configurations);
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: `${prefix}.0/24` }]],
    routes: [{ dst: "0.0.0.0/0" }],
    dataDir: join(folder, "addresses"),
  };
  const network = { cniVersion: "0.4.0", name: "pods", plugins: [{ type: "ptp", ipam }] };
  writeFileSync(join(configurations, "10-pods.conflist"), JSON.stringify(network));
  return {
    gateway: `${prefix}.1`,
    toml: (cri) => `
  [${cri}.cni]
    bin_dir = "${PLUGINS}"
    conf_dir = "${configurations}"
`,
  };
}
