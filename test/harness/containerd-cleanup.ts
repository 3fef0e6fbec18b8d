import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./processes.ts";

/**
 * Ends containerd's shims and what runs below them. They outlive containerd by design, and are known
 * by its socket in their command line.
 */
export async function endShims(socket: string): Promise<void> {
  const processes = await listProcesses();
  const doomed = new Set<number>();
  for (const { pid, words } of processes)
    if (words[0]?.includes("containerd-shim") && words.includes(socket)) doomed.add(pid);
  // A set that grows while it is walked: children of children are found as well.
  for (const parent of doomed)
    for (const child of processes) if (child.parent === parent) doomed.add(child.pid);
  for (const pid of doomed) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
}

/** Unmounts everything below a folder, the innermost first. */
export async function unmountBelow(path: string): Promise<void> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const points = mounts.split("\n").flatMap((line) => line.split(" ")[4] ?? []);
  const ours = points.filter((point) => point.startsWith(`${path}/`)).toReversed();
  // Lazily: a container that is just ending may still be in it.
  for (const point of ours) await run(["umount", "-l", point]);
}

const OWNER = "owner.pid";

/** Marks a folder as this process's, so that a later run can tell that it was left behind. */
export async function claim(folder: string): Promise<void> {
  await writeFile(join(folder, OWNER), String(process.pid));
}

/** Clears away what containerds of test runs that were killed have left: shims, mounts and files. */
export async function sweep(prefix: string, socketName: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = join(tmpdir(), name);
    // Without the mark it is somebody's who is just about to write it.
    const owner = await readFile(join(folder, OWNER), "utf8").catch(() => "");
    if (owner === "" || existsSync(`/proc/${owner}`)) continue;
    await endShims(join(folder, socketName));
    await unmountBelow(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

interface Listed {
  readonly pid: number;
  readonly parent: number;
  /** The command line. */
  readonly words: readonly string[];
}

async function listProcesses(): Promise<Listed[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const listed = await Promise.all(pids.map(Number).map(readProcess));
  return listed.filter((one) => one !== undefined);
}

async function readProcess(pid: number): Promise<Listed | undefined> {
  try {
    const [command, stat] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8"),
      readFile(`/proc/${pid}/stat`, "utf8"),
    ]);
    // The name in brackets may hold anything; the parent is the second word behind it.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { pid, parent, words: command.split("\0") };
  } catch {
    return undefined; // It ended meanwhile.
  }
}
