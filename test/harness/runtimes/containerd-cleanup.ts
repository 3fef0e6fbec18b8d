import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../processes.ts";

/**
 * Kills the shims of a containerd and their descendants. Shims outlive containerd by design; they are
 * recognised by containerd's socket in their command line.
 */
export async function killShims(socket: string): Promise<void> {
  const processes = await listProcesses();
  const targets = new Set<number>();
  for (const { pid, args } of processes)
    if (args[0]?.includes("containerd-shim") && args.includes(socket)) targets.add(pid);
  // Iterating over a set visits elements added meanwhile, so this finds all descendants.
  for (const parent of targets)
    for (const child of processes) if (child.parent === parent) targets.add(child.pid);
  for (const pid of targets) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // The process has ended already.
    }
  }
}

/** Unmounts everything below a folder, innermost mount points first. */
export async function unmountBelow(path: string): Promise<void> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const mountPoints = mounts.split("\n").flatMap((line) => line.split(" ")[4] ?? []);
  const below = mountPoints.filter((point) => point.startsWith(`${path}/`)).toReversed();
  // Lazily (-l): a container that is just ending may still use the mount.
  for (const point of below) await run(["umount", "-l", point]);
}

const OWNER = "owner.pid";

/** Records this process as a folder's owner, so that a later run recognises an abandoned folder. */
export async function recordOwner(folder: string): Promise<void> {
  await writeFile(join(folder, OWNER), String(process.pid));
}

/** Removes the shims, mounts and files that containerds of killed test runs left behind. */
export async function removeAbandoned(prefix: string, socketName: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = join(tmpdir(), name);
    // A folder without an owner file belongs to a process that is about to write one.
    const owner = await readFile(join(folder, OWNER), "utf8").catch(() => "");
    if (owner === "" || existsSync(`/proc/${owner}`)) continue;
    await killShims(join(folder, socketName));
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** The command line. */
  readonly args: readonly string[];
}

async function listProcesses(): Promise<ProcessInfo[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const infos = await Promise.all(pids.map(Number).map(readProcess));
  return infos.filter((one) => one !== undefined);
}

async function readProcess(pid: number): Promise<ProcessInfo | undefined> {
  try {
    const [command, stat] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8"),
      readFile(`/proc/${pid}/stat`, "utf8"),
    ]);
    // proc(5): the command name in parentheses may contain anything; the PPID is the second field
    // after it.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { pid, parent, args: command.split("\0") };
  } catch {
    return undefined; // The process has ended.
  }
}
