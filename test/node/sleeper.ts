import type { Cri } from "../harness/cri.ts";

/** What of a node of the tests a container needs. */
interface Pods {
  cri(): Cri;
  /** A path that the node's containerd sees as the test does. */
  file(...names: string[]): string;
  ctr(...words: string[]): Promise<string>;
}

/** Starts a container that sleeps, and returns the process that it is, as containerd sees it. */
export async function startSleeper(node: Pods, image: string): Promise<{ pid: number }> {
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
