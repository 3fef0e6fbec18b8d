import { readdirSync, readFileSync } from "node:fs";

/** Linux counts the time of processes in hundredths of a second, whatever its own clock does. */
const TICKS_PER_SECOND = 100;

/** A process and all below it: nginx works in children. */
export function family(pid: number): number[] {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const fields = statOf(Number(name));
      return fields ? [{ pid: Number(name), parent: Number(fields[1]) }] : [];
    });
  const found = [pid];
  // Grows while it is walked.
  for (const one of found) {
    for (const { pid: child, parent } of parents) if (parent === one) found.push(child);
  }
  return found;
}

/** CPU seconds, user and system, that these processes have used so far. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const fields = statOf(pid);
    return fields ? Number(fields[11]) + Number(fields[12]) : 0;
  });
  return ticks.reduce((sum, one) => sum + one, 0) / TICKS_PER_SECOND;
}

/** The most memory that these processes had resident, each at its own worst, in MB. */
export function peakMegabytes(pids: readonly number[]): number {
  return megabytes(pids, "VmHWM");
}

/** What they have resident now, in MB. */
export function residentMegabytes(pids: readonly number[]): number {
  return megabytes(pids, "VmRSS");
}

export function loadAverage(): string {
  return readFileSync("/proc/loadavg", "utf8").split(" ", 1)[0] ?? "";
}

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

/** The fields of /proc/<pid>/stat behind the name, which may hold anything: state, parent, … */
function statOf(pid: number): string[] | undefined {
  const text = textOf(pid, "stat");
  return text === "" ? undefined : text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // It ended meanwhile.
  }
}
