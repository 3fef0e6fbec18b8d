import { existsSync, readFileSync } from "node:fs";
import { mkdir, copyFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureBusybox } from "../../scripts/components/debian.mjs";
import type { SuitePackages } from "../../scripts/components/debian-unpack.mjs";
import { type CommandResult, mustRun, run } from "../harness/processes.ts";
import type { TempDir } from "../harness/temp-dir.ts";
import { type IsolatedNode, startIsolated } from "./isolated.ts";

/** Docker with Compose, which run on Debian 12 with that system's containerd and runc. */
export const DOCKER_COMPOSE: SuitePackages = {
  suite: "forky",
  packages: ["docker.io", "docker-cli", "docker-compose", "tini"],
};

const REGISTRY = "/usr/bin/docker-registry";

/** A machine with a network of its own, on which Docker runs containers and publishes their ports. */
export class ComposeNode implements AsyncDisposable {
  readonly #node: IsolatedNode;

  constructor(node: IsolatedNode) {
    this.#node = node;
  }

  /** The prefix of a command that runs on this machine. */
  get enter(): string[] {
    const [nsenter = "", ...rest] = this.#node.enter;
    return [nsenter, "--net", ...rest];
  }

  /** The prefix of a process of the test that is to be in the network of this machine. */
  get network(): string[] {
    const [nsenter = "", target = "", pid = ""] = this.#node.enter;
    return [nsenter, target, pid, "--net", "--"];
  }

  /** Runs what somebody would type, in a folder. */
  type(folder: string, line: string): Promise<CommandResult> {
    return run([...this.enter, "/bin/sh", "-c", `cd ${folder} && ${line}`]);
  }

  docker(...args: readonly string[]): Promise<string> {
    return mustRun([...this.enter, "docker", ...args]);
  }

  /** Makes the image registry:2 of Debian's docker-registry. */
  async importRegistry(folder: TempDir): Promise<void> {
    const root = folder.file("registry-image");
    const libraries = (await mustRun(["ldd", REGISTRY])).matchAll(/(\/lib\S+)/g);
    const files = [REGISTRY, ...Array.from(libraries, ([file]) => file)];
    for (const file of files) {
      const copy = join(root, file);
      await mkdir(dirname(copy), { recursive: true });
      await copyFile(file, copy);
    }
    const config = join(root, "etc/docker/registry/config.yml");
    await mkdir(dirname(config), { recursive: true });
    await writeFile(
      config,
      `version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/registry } }\nhttp: { addr: ":5000" }\n`,
    );
    const archive = folder.file("registry-image.tar");
    await mustRun(["tar", "-C", root, "-cf", archive, "."]);
    const serve = `CMD ["serve", "/etc/docker/registry/config.yml"]`;
    const changes = [`ENTRYPOINT ["${REGISTRY}"]`, serve, "VOLUME /var/lib/registry"];
    const flags = changes.flatMap((change) => ["--change", change]);
    await this.docker("import", ...flags, archive, "registry:2");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#node[Symbol.asyncDispose]();
  }
}

/** The address of the machine in the network of its containers. */
export const GATEWAY = "172.17.0.1";

/** @param installed the folder into which `DOCKER_COMPOSE` is unpacked */
export async function startComposeNode(installed: string): Promise<ComposeNode> {
  const busybox = await ensureBusybox();
  const node = await startIsolated({
    name: "dockerd",
    installed,
    command: (dir) => {
      const folders = [`--data-root=${dir.file("data")}`, `--exec-root=${dir.file("exec")}`];
      // Ports are published by docker-proxy: rules need kernel modules that not every machine has.
      const network = [`--bip=${GATEWAY}/16`, "--iptables=false", "--ip6tables=false"];
      const dockerd = ["dockerd", ...folders, ...network].join(" ");
      return ["unshare", "--net", "/bin/sh", "-c", `${busybox} ip link set lo up; exec ${dockerd}`];
    },
    ready: (started) => existsSync(started.inside("/run/docker.sock")),
  });
  return new ComposeNode(node);
}

/** The most file descriptors that a process may have here: containers cannot have more. */
export function fileDescriptorLimit(): number {
  const [, hard = ""] =
    /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return Number(hard);
}
