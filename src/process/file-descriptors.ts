import { readdirSync, readFileSync, statSync } from "node:fs";

const FOLDER = "/proc/self/fd";

/** How many file descriptors this process may have; infinite where that is not known. */
export function descriptorLimit(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
    return Number.isNaN(soft) ? Infinity : soft;
  } catch {
    return Infinity;
  }
}

/**
 * How many file descriptors this process has. Linux 6.2 and newer count them in microseconds (proc_pid_fd(5));
 * others list them, in a millisecond for some thousands.
 */
export function descriptorCount(): number {
  try {
    return statSync(FOLDER).size || readdirSync(FOLDER).length;
  } catch {
    // It is not Linux, or there is none left to read the folder.
    return 0;
  }
}
