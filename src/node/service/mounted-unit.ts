import type { NodeFiles } from "../files/node-files.ts";
import { RuntimeFault } from "../runtime.ts";
import { SystemdFault, systemdSocket, withSystemd } from "./systemd-bus.ts";

/**
 * The one of several units that runs on a node whose root is mounted. Undefined if none does, or if its
 * systemd cannot be asked.
 */
export async function activeUnit(
  files: NodeFiles,
  names: readonly string[],
): Promise<string | undefined> {
  const socket = files.isOwnRoot ? undefined : systemdSocket(files);
  if (socket === undefined) return undefined;
  try {
    return await withSystemd(socket, async (systemd) => {
      for (const name of names)
        if ((await systemd.unit(name)).activeState === "active") return name;
      return undefined;
    });
  } catch (error) {
    if (error instanceof SystemdFault) return undefined;
    throw error;
  }
}

/**
 * Has the systemd of a node whose root is mounted tell a runtime to load its files again, whose process is
 * not seen from here. Does nothing if the unit does not run.
 *
 * @throws RuntimeFault of kind `reload-failed`
 */
export async function reloadMounted(files: NodeFiles, unit: string, title: string): Promise<void> {
  const socket = systemdSocket(files);
  const what = `${title} cannot be told to load its files again`;
  if (socket === undefined) {
    const advice =
      "mount the node's /run/systemd (the chart: nodes.allowRestart=true), or run in the host's PID namespace (hostPID)";
    throw new RuntimeFault(
      "reload-failed",
      `${what}, because neither its process nor the socket of its systemd is seen from here: ${advice}`,
    );
  }
  try {
    await withSystemd(socket, async (systemd) => {
      const { activeState } = await systemd.unit(unit);
      if (activeState === "active") await systemd.reload(unit);
    });
  } catch (cause) {
    if (!(cause instanceof SystemdFault)) throw cause;
    throw new RuntimeFault("reload-failed", `${what}: ${cause.message}`, { cause });
  }
}
