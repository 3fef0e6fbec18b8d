import { existsSync } from "node:fs";
import { posix } from "node:path";
import type { Daemon } from "./daemon.ts";
import type { NodeFiles } from "../files/node-files.ts";
import type { Position } from "../findings.ts";
import type { Obstacle } from "../plan.ts";
import { RuntimeFault } from "../runtime.ts";
import { isBooted, loadedKillMode, readUnit, sparesContainers } from "./systemd.ts";
import { SystemdFault, systemdSocket, withSystemd } from "./systemd-bus.ts";

const SHELL = "/bin/sh";
const RESTART_MS = 120_000;
const NEW_PROCESS_MS = 60_000;

export interface UnitRestart {
  readonly files: NodeFiles;
  /** Name of the systemd unit. */
  readonly unit: string;
  /** Name of the runtime in messages. */
  readonly title: string;
  /** A shell command that replaces a restart by systemd. */
  readonly command: string | undefined;
}

/** How a unit is restarted, and the obstacles because of which it must not be. */
export interface RestartMethod {
  readonly way: string;
  readonly obstacles: readonly Obstacle[];
}

export async function restartMethod(restart: UnitRestart): Promise<RestartMethod> {
  const { files, unit: name, title, command } = restart;
  if (command !== undefined) return { way: command, obstacles: [] };
  if (!files.isOwnRoot) return mountedMethod(restart);
  const unit = readUnit(files, name);
  const way = `systemctl restart ${name}`;
  if (!isBooted(files) || unit === undefined) {
    const what = `${title} has to be restarted, but systemd is not running here or has no ${name}`;
    const advice = "name the command that restarts it: --restart-command 'COMMAND'";
    return { way, obstacles: [{ code: "no-restart-command", what, advice }] };
  }
  const at = unit.killModeAt ?? { file: unit.file };
  return { way, obstacles: killModeObstacles(title, { ...unit, at }, loadedKillMode(name)) };
}

/** A node whose root is mounted: its systemd is asked, if its socket is mounted too. */
async function mountedMethod({ files, unit: name, title }: UnitRestart): Promise<RestartMethod> {
  const socket = systemdSocket(files);
  const way = `systemd's RestartUnit of ${name}`;
  const needed = `${title} has to be restarted`;
  const blocked = (what: string, advice: string): RestartMethod => ({
    way,
    obstacles: [{ code: "no-restart-command", what, advice }],
  });
  if (socket === undefined) {
    return blocked(
      `${needed}, and its root is mounted at ${files.root}, without the socket of its systemd`,
      `mount the node's /run/systemd at ${posix.join(files.root, "run/systemd")} (the chart: nodes.allowRestart=true), or name the command that restarts it: --restart-command 'nsenter --target 1 --mount -- systemctl restart ${name}'`,
    );
  }
  try {
    const loaded = await withSystemd(socket, (systemd) => systemd.unit(name));
    if (loaded.loadState !== "loaded") {
      return blocked(
        `${needed}, but the node's systemd has no ${name} (${loaded.loadState})`,
        "name the command that restarts it: --restart-command 'COMMAND'",
      );
    }
    const unit = readUnit(files, name) ?? { name, ...loaded };
    const at = ("killModeAt" in unit ? unit.killModeAt : undefined) ?? { file: unit.file };
    return { way, obstacles: killModeObstacles(title, { ...unit, at }, loaded.killMode) };
  } catch (error) {
    if (!(error instanceof SystemdFault)) throw error;
    return blocked(
      `${needed}, but ${error.message}`,
      "run as root, or name the command that restarts it: --restart-command 'COMMAND'",
    );
  }
}

/** A restart must not end the containers. @param loaded what systemd goes by: the files may be newer */
function killModeObstacles(
  title: string,
  unit: { readonly name: string; readonly killMode: string; readonly at: Position },
  loaded: string | undefined,
): Obstacle[] {
  const { name, at } = unit;
  if (!sparesContainers(unit)) {
    const what = `${title} has to be restarted, but KillMode=${unit.killMode} of ${name} would kill every container`;
    const advice =
      "set KillMode=process in a drop-in of the unit, run systemctl daemon-reload, and apply again";
    return [{ code: "restart-ends-containers", at, what, advice }];
  }
  if (loaded === undefined || sparesContainers({ killMode: loaded })) return [];
  const what = `${title} has to be restarted, but systemd still has KillMode=${loaded} loaded for ${name}, which would kill every container`;
  const advice = "run systemctl daemon-reload, so that it reads the unit's files, and apply again";
  return [{ code: "unit-not-reloaded", at, what, advice }];
}

/**
 * Restarts it, and waits until another process listens on the runtime's socket: a command may only
 * request a restart, and until then the previous process responds as if it were done.
 *
 * @param current the process that listens now
 * @throws RuntimeFault of kind `restart-failed`
 */
export async function runRestart(
  restart: UnitRestart,
  current: () => Daemon | undefined,
): Promise<void> {
  const { way } = await restartMethod(restart);
  const { files, title, command, unit } = restart;
  const previous = current();
  if (command === undefined && !files.isOwnRoot) await restartBySystemd(files, unit);
  else await runCommand(way);
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

async function restartBySystemd(files: NodeFiles, unit: string): Promise<void> {
  const socket = systemdSocket(files);
  if (socket === undefined) {
    throw new RuntimeFault("restart-failed", "the socket of the node's systemd is gone");
  }
  try {
    await withSystemd(socket, (systemd) => systemd.restart(unit));
  } catch (cause) {
    if (!(cause instanceof SystemdFault)) throw cause;
    throw new RuntimeFault("restart-failed", cause.message, { cause });
  }
}

async function runCommand(way: string): Promise<void> {
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
  if (code === 0) return;
  // With a timeout: a daemon that the command left behind may keep the pipe open.
  const text = await Promise.race([stderr, Bun.sleep(500).then(() => "")]);
  throw new RuntimeFault(
    "restart-failed",
    `${way} exited with ${code}: ${text.trim().slice(-500)}`,
  );
}
