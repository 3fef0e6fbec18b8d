import { existsSync } from "node:fs";
import type { Daemon } from "./daemon.ts";
import type { NodeFiles } from "../files/node-files.ts";
import type { Obstacle } from "../plan.ts";
import { RuntimeFault } from "../runtime.ts";
import { isBooted, loadedKillMode, readUnit, sparesContainers } from "./systemd.ts";

const SHELL = "/bin/sh";
const RESTART_MS = 120_000;
const NEW_PROCESS_MS = 60_000;

export interface UnitRestart {
  readonly files: NodeFiles;
  /** Name of the systemd unit. */
  readonly unit: string;
  /** Name of the runtime in messages. */
  readonly title: string;
  /** A shell command that replaces `systemctl restart`. */
  readonly command: string | undefined;
}

/** The command that restarts a unit, and the obstacles because of which it must not be run. */
export function restartMethod({ files, unit: name, title, command }: UnitRestart): {
  way: string;
  obstacles: readonly Obstacle[];
} {
  if (command !== undefined) return { way: command, obstacles: [] };
  const unit = readUnit(files, name);
  const way = `systemctl restart ${name}`;
  if (!files.isOwnRoot) {
    const what = `${title} has to be restarted, and its root is mounted at ${files.root}: no service of this machine is its own`;
    const advice = `name the command that restarts it: --restart-command 'nsenter --target 1 --mount -- ${way}'`;
    return { way, obstacles: [{ code: "no-restart-command", what, advice }] };
  }
  if (!isBooted(files) || unit === undefined) {
    const what = `${title} has to be restarted, but systemd is not running here or has no ${name}`;
    const advice = "name the command that restarts it: --restart-command 'COMMAND'";
    return { way, obstacles: [{ code: "no-restart-command", what, advice }] };
  }
  const at = unit.killModeAt ?? { file: unit.file };
  const killMode = loadedKillMode(name);
  if (sparesContainers(unit) && killMode !== undefined && !sparesContainers({ killMode })) {
    const what = `${title} has to be restarted, but systemd still has KillMode=${killMode} loaded for ${name}, which would kill every container`;
    const advice =
      "run systemctl daemon-reload, so that it reads the unit's files, and apply again";
    return { way, obstacles: [{ code: "unit-not-reloaded", at, what, advice }] };
  }
  if (sparesContainers(unit)) return { way, obstacles: [] };
  const what = `${title} has to be restarted, but KillMode=${unit.killMode} of ${name} would kill every container`;
  const advice =
    "set KillMode=process in a drop-in of the unit, run systemctl daemon-reload, and apply again";
  return { way, obstacles: [{ code: "restart-ends-containers", at, what, advice }] };
}

/**
 * Runs the command, and waits until another process listens on the runtime's socket: a command may only
 * request a restart, and until then the previous process responds as if it were done.
 *
 * @param current the process that listens now
 * @throws RuntimeFault of kind `restart-failed`
 */
export async function runRestart(
  way: string,
  title: string,
  current: () => Daemon | undefined,
): Promise<void> {
  const previous = current();
  if (!existsSync(SHELL)) {
    const what = `${way} cannot be run: there is no ${SHELL} here, as in a container without a shell`;
    throw new RuntimeFault("restart-failed", what);
  }
  const child = Bun.spawn([SHELL, "-c", way], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: RESTART_MS,
  });
  const stderr = new Response(child.stderr).text();
  const code = await child.exited;
  if (code !== 0) {
    // With a timeout: a daemon that the command left behind may keep the pipe open.
    const text = await Promise.race([stderr, Bun.sleep(500).then(() => "")]);
    throw new RuntimeFault(
      "restart-failed",
      `${way} exited with ${code}: ${text.trim().slice(-500)}`,
    );
  }
  if (previous === undefined) return;
  const isPrevious = (): boolean => {
    const daemon = current();
    return daemon?.pid === previous.pid && daemon.startedAt === previous.startedAt;
  };
  const deadline = Date.now() + NEW_PROCESS_MS;
  while (isPrevious()) {
    if (Date.now() >= deadline) {
      const what = `${way} succeeded, but ${title} is still the same process (${previous.pid})`;
      throw new RuntimeFault("restart-failed", what);
    }
    await Bun.sleep(200);
  }
}
