import { readFileSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { posix } from "node:path";
import type { NodeFiles } from "../files/node-files.ts";

/** By which containerd's configuration file is named. */
export const CONFIG_OPTIONS: readonly string[] = ["--config", "-c"];

/** The process that listens on a runtime's socket. */
export interface Daemon {
  readonly pid: number;
  readonly executable: string;
  readonly command: readonly string[];
  /** In milliseconds since the epoch. */
  readonly startedAt: number;
  /** The content of /proc/<pid>/cgroup, whose paths contain the systemd unit. */
  readonly cgroups: string;
}

/**
 * Finds the daemon by the inode of its socket and not by a process name: k3s, snaps and tests run
 * containerds of their own, under any name, beside the system's.
 *
 * @param isOwnRoot whether the node's root is this process's. In a container it is mounted elsewhere, and
 *   the daemon is seen in the host's network namespace, if the container is in the host's PID namespace.
 */
export function findDaemon(socket: string, isOwnRoot = true): Daemon | undefined {
  const inodes = new Set(
    read(isOwnRoot ? "/proc/net/unix" : "/proc/1/net/unix")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      // Flags 00010000 mark a listening socket; connected sockets have the same path.
      .filter((fields) => fields[3] === "00010000" && isSameSocket(fields[7] ?? "", socket))
      .map((fields) => `socket:[${fields[6]}]`),
  );
  if (inodes.size === 0) return undefined;
  let holder: Daemon | undefined;
  for (const name of entries("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const isListening = entries(`/proc/${name}/fd`).some((fd) =>
      inodes.has(link(`/proc/${name}/fd/${fd}`)),
    );
    if (!isListening) continue;
    const daemon = readDaemon(Number(name));
    // systemd keeps the sockets by which it activates a service, such as docker.socket.
    if (posix.basename(daemon.executable) !== "systemd") return daemon;
    holder = daemon;
  }
  return holder;
}

/**
 * Whether a daemon of the node would be seen if it ran. On its own machine, it would; in a container it may
 * be out of sight.
 */
export function wouldBeSeen({ isOwnRoot }: NodeFiles): boolean {
  return isOwnRoot || read("/proc/1/comm").trim() === "systemd";
}

/** A socket's path may be written with /run or with /var/run, which is a symbolic link to it. */
function isSameSocket(bound: string, requested: string): boolean {
  if (bound === requested) return true;
  if (posix.basename(bound) !== posix.basename(requested)) return false;
  const real = realPath(bound);
  return real !== "" && real === realPath(requested);
}

function readDaemon(pid: number): Daemon {
  const command = read(`/proc/${pid}/cmdline`).split("\0").filter(Boolean);
  // The name in parentheses may contain blanks; the fields after it do not.
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");
  const ticks = Number(fields[19] ?? 0);
  const boot = Number(/^btime (\d+)/m.exec(read("/proc/stat"))?.[1] ?? 0);
  // USER_HZ is 100 on every Linux that Go and Bun run on.
  const startedAt = boot * 1000 + ticks * 10;
  const cgroups = read(`/proc/${pid}/cgroup`);
  return { pid, executable: link(`/proc/${pid}/exe`), command, startedAt, cgroups };
}

/**
 * The file that an option names, resolved in the daemon's working directory; undefined without the
 * option.
 *
 * @param names of the option, by default those of containerd
 */
export function configFileOf(
  daemon: Daemon,
  names: readonly string[] = CONFIG_OPTIONS,
): string | undefined {
  const option = optionValue(daemon.command, names);
  return option === undefined ? undefined : posix.resolve(link(`/proc/${daemon.pid}/cwd`), option);
}

/** The value of an option on a command line. */
export function optionValue(
  command: readonly string[],
  names: readonly string[],
): string | undefined {
  for (const [index, argument] of command.entries()) {
    if (names.includes(argument)) return command[index + 1];
    const [name = "", ...value] = argument.split("=");
    if (names.includes(name)) return value.join("=");
  }
  return undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // A process that has just exited, or that this user may not inspect.
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return "";
  }
}
