import { readFileSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { posix } from "node:path";

/** The process that listens on containerd's socket. */
export interface Daemon {
  readonly pid: number;
  readonly executable: string;
  readonly command: readonly string[];
  /** In milliseconds of the epoch. */
  readonly startedAt: number;
  /** As /proc/<pid>/cgroup has it: systemd's unit is in its paths. */
  readonly cgroups: string;
}

/**
 * Finds it by the socket's inode rather than by a name: k3s, snaps and tests run containerds of
 * their own under any name beside the system's.
 */
export function findDaemon(socket: string): Daemon | undefined {
  const inodes = new Set(
    read("/proc/net/unix")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      // Flags 00010000 mark a socket that listens; a connected one has the same path.
      .filter((fields) => fields[3] === "00010000" && isSame(fields[7] ?? "", socket))
      .map((fields) => `socket:[${fields[6]}]`),
  );
  if (inodes.size === 0) return undefined;
  for (const name of entries("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const holds = entries(`/proc/${name}/fd`).some((fd) =>
      inodes.has(link(`/proc/${name}/fd/${fd}`)),
    );
    if (holds) return describe(Number(name));
  }
  return undefined;
}

/** /var/run is a link to /run, and each of them is what some name a socket by. */
function isSame(bound: string, asked: string): boolean {
  if (bound === asked) return true;
  if (posix.basename(bound) !== posix.basename(asked)) return false;
  const real = realPath(bound);
  return real !== "" && real === realPath(asked);
}

function describe(pid: number): Daemon {
  const command = read(`/proc/${pid}/cmdline`).split("\0").filter(Boolean);
  // The name in parentheses may hold blanks; the fields after it do not.
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

/** The value of `--config`, where the daemon was started with one; from its own working directory. */
export function configOf(daemon: Daemon): string | undefined {
  const option = configOption(daemon.command);
  return option === undefined ? undefined : posix.resolve(link(`/proc/${daemon.pid}/cwd`), option);
}

function configOption(command: readonly string[]): string | undefined {
  for (const [index, word] of command.entries()) {
    if (word === "--config" || word === "-c") return command[index + 1];
    const match = /^(?:--config|-c)=(.*)$/.exec(word);
    if (match) return match[1];
  }
  return undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // A process that has just ended, or one that may not be looked into.
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
