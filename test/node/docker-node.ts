import { join } from "node:path";
import type { SuitePackages } from "../../scripts/components/debian-unpack.mjs";
import { Engine, type EngineInfo } from "../../src/node/docker/engine.ts";
import { type IsolatedNode, startIsolated } from "./isolated.ts";

/** Docker 28, which has both image stores. It runs on Debian 12 with that system's containerd. */
export const DOCKER_28: SuitePackages = { suite: "forky", packages: ["docker.io"] };

const NO_NETWORK = [
  "--iptables=false",
  "--ip6tables=false",
  "--bridge=none",
  "--ip-forward=false",
  "--userland-proxy=false",
];

/** A dockerd that cannot start containers, but pulls images as any other. */
export interface DockerNode extends IsolatedNode {
  readonly engine: Engine;
  info(): Promise<EngineInfo>;
}

/**
 * @param tree the folder into which `DOCKER_28` is unpacked
 * @param etc texts by their path below /etc
 */
export async function startDocker(
  tree: string,
  etc: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Promise<DockerNode> {
  const node = await startIsolated({
    name: "dockerd",
    etc,
    command: (dir) => [
      join(tree, "usr/sbin/dockerd"),
      `--data-root=${dir.file("data")}`,
      `--exec-root=${dir.file("exec")}`,
      ...NO_NETWORK,
      ...flags,
    ],
    ready: (started) => engineOf(started).info(1_000),
  });
  const engine = engineOf(node);
  return Object.assign(node, { engine, info: () => engine.info() });
}

function engineOf(node: IsolatedNode): Engine {
  return new Engine(node.inside("/run/docker.sock"));
}
