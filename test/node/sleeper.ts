import type { Cri } from "../harness/runtimes/cri.ts";

/** The parts of a test node that are needed to run a container. */
interface PodNode {
  cri(): Cri;
  /** A path that is the same for the test and for the node's containerd. */
  file(...names: string[]): string;
  ctr(...args: string[]): Promise<string>;
}

/** Starts a container that sleeps. Returns its PID in containerd's PID namespace. */
export async function startSleeper(node: PodNode, image: string): Promise<{ pid: number }> {
  using cri = node.cri();
  const linux = {
    security_context: { namespace_options: { network: "NODE", pid: "CONTAINER", ipc: "NODE" } },
  };
  const sandbox = {
    metadata: { name: "sleeper", uid: crypto.randomUUID(), namespace: "test", attempt: 0 },
    log_directory: node.file("logs"),
    linux,
  };
  const pod = await cri.call("RunPodSandbox", { config: sandbox });
  const container = await cri.call("CreateContainer", {
    ...pod,
    config: {
      metadata: { name: "main", attempt: 0 },
      image: { image },
      command: ["/bin/busybox", "sleep", "100000"],
      log_path: "sleeper.log",
      linux,
    },
    sandbox_config: sandbox,
  });
  await cri.call("StartContainer", container);
  const tasks = await node.ctr("tasks", "list");
  const line = tasks.split("\n").find((it) => it.startsWith(container.container_id));
  return { pid: Number(line?.trim().split(/\s+/)[1]) };
}
