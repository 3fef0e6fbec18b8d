import { readdirSync, readFileSync } from "node:fs";

/**
 * USER_HZ: /proc reports CPU time in hundredths of a second, whatever the kernel's timer frequency.
 */
const TICKS_PER_SECOND = 100;

/** The IDs of a process and all its descendants: nginx serves from worker processes. */
export function processTree(pid: number): number[] {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const fields = statOf(Number(name));
      return fields ? [{ pid: Number(name), parent: Number(fields[1]) }] : [];
    });
  const tree = [pid];
  // The loop also visits the entries that it appends.
  for (const ancestor of tree) {
    for (const { pid: child, parent } of parents) if (parent === ancestor) tree.push(child);
  }
  return tree;
}

/** The CPU seconds, user and system, that these processes have used so far. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = statOf(pid);
    return fields ? Number(fields[11]) + Number(fields[12]) : 0;
  });
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND;
}

/** The sum of these processes' peak resident memory (VmHWM), in MB; the peaks need not coincide. */
export function peakMegabytes(pids: readonly number[]): number {
  return megabytes(pids, "VmHWM");
}

/** The sum of these processes' current resident memory (VmRSS), in MB. */
export function residentMegabytes(pids: readonly number[]): number {
  return megabytes(pids, "VmRSS");
}

/** The load average of the last minute. */
export function loadAverage(): string {
  return readFileSync("/proc/loadavg", "utf8").split(" ", 1)[0] ?? "";
}

/** This machine's processors and memory, for reports. */
export function machine(): string {
  const info = readFileSync("/proc/cpuinfo", "utf8");
  const model = /^model name\s*:\s*(.+)$/m.exec(info)?.[1] ?? process.arch;
  const memory = /^MemTotal:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? "0";
  const count = info.match(/^processor\s*:/gm)?.length ?? 1;
  return `${count} cores of ${model}, ${Math.round(Number(memory) / 1024 / 1024)} GiB`;
}

function megabytes(pids: readonly number[], field: string): number {
  const sizes = pids.map((pid) => {
    const status = textOf(pid, "status");
    return Number(new RegExp(`^${field}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0);
  });
  return (sizes.reduce((sum, one) => sum + one, 0) * 1024) / 1e6;
}

/**
 * The fields of /proc/<pid>/stat after the name, which may itself contain spaces: state, parent, …
 */
function statOf(pid: number): string[] | undefined {
  const text = textOf(pid, "stat");
  return text === "" ? undefined : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // The process has exited.
  }
}
