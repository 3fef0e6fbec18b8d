import { posix } from "node:path";
import { parse } from "yaml";
import { Connection as ContainerdConnection } from "../containerd/connection.ts";
import type { ContainerdVersion } from "../containerd/traits.ts";
import { parseContainerdVersion } from "../containerd/traits.ts";
import type { Daemon } from "../service/daemon.ts";
import type { FileView, NodeFiles } from "../files/node-files.ts";
import { readText } from "../files/node-files.ts";
import { RuntimeFault } from "../runtime.ts";
import { readUnit } from "../service/systemd.ts";

/** Both start a containerd of their own on this socket. */
const SOCKET = "/run/k3s/containerd/containerd.sock";

export type ProductName = "k3s" | "rke2";

export interface RancherOptions {
  readonly files: NodeFiles;
  readonly socket?: string;
  /** The containerd's version, for a node where it cannot be detected. */
  readonly version?: string;
  /** A shell command that replaces `systemctl restart`. */
  readonly restartCommand?: string;
  /** Works on the files of another root: no socket is opened and no program is run. */
  readonly filesOnly: boolean;
}

const PRODUCTS = {
  k3s: { title: "k3s", units: ["k3s.service", "k3s-agent.service"] },
  rke2: { title: "RKE2", units: ["rke2-server.service", "rke2-agent.service"] },
} as const;

/** Settings of config.yaml that move what is read and written here. */
interface Settings {
  readonly registries: string;
  readonly dataDirectory: string;
  /** Whether a registry with mirrors is not asked itself any more. */
  readonly isWithoutDefault: boolean;
}

/** Access to k3s or RKE2: the containerd inside, the files, and the unit. */
export class Connection {
  readonly name: ProductName;
  readonly title: string;
  readonly options: RancherOptions;
  readonly containerd: ContainerdConnection;

  constructor(name: ProductName, options: RancherOptions) {
    this.name = name;
    this.title = PRODUCTS[name].title;
    this.options = options;
    this.containerd = new ContainerdConnection({
      ...options,
      socket: options.socket ?? SOCKET,
      config: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    });
  }

  get daemon(): Daemon | undefined {
    return this.containerd.daemon;
  }

  /** The units of servers and of agents. */
  get units(): readonly string[] {
    return PRODUCTS[this.name].units;
  }

  /** The unit that has started the running containerd, or the one that is installed. */
  get unit(): string {
    const { units } = PRODUCTS[this.name];
    const cgroups = this.daemon?.cgroups ?? "";
    const [first] = units;
    return (
      units.find((unit) => cgroups.includes(`/${unit}`)) ??
      units.find((unit) => readUnit(this.options.files, unit) !== undefined) ??
      first
    );
  }

  settings(view: FileView): Settings {
    const directory = `/etc/rancher/${this.name}`;
    const dropIns = (view.list(`${directory}/config.yaml.d`) ?? [])
      .filter((name) => /\.ya?ml$/.test(name))
      .map((name) => `${directory}/config.yaml.d/${name}`);
    const values: Record<string, unknown> = {};
    for (const path of [`${directory}/config.yaml`, ...dropIns])
      Object.assign(values, settingsOf(view, path));
    const text = (key: string, otherwise: string): string => {
      const value = values[key];
      return typeof value === "string" ? value : otherwise;
    };
    return {
      registries: text("private-registry", `${directory}/registries.yaml`),
      dataDirectory: text("data-dir", `/var/lib/rancher/${this.name}`),
      isWithoutDefault: values["disable-default-registry-endpoint"] === true,
    };
  }

  /** Where the hosts.toml files are that it generates from registries.yaml when it starts. */
  certsDirectory(view: FileView): string {
    return posix.join(this.settings(view).dataDirectory, "agent/etc/containerd/certs.d");
  }

  /** The version of the containerd inside. Undefined if it cannot be asked. */
  async version(): Promise<ContainerdVersion | undefined> {
    const { version, filesOnly } = this.options;
    if (version !== undefined) return parseContainerdVersion(version);
    if (filesOnly) return undefined;
    try {
      const text = await this.containerd.callCri("dead", (cri) => cri.daemonVersion(2_000));
      return parseContainerdVersion(text);
    } catch (error) {
      if (error instanceof RuntimeFault) return undefined;
      throw error;
    }
  }
}

/** What is wrong with config.yaml is for k3s to say: it does not start with it. */
function settingsOf(view: FileView, path: string): object {
  try {
    const value: unknown = parse(readText(view, path) ?? "");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
