import { totalmem } from "node:os";

const MIB = 1024 * 1024;

/** With less, the kernel ends the process in its first pulls, in bytes. */
export const LEAST_MEMORY: number = 64 * MIB;
/** With less, many pulls at once may end the process, in bytes. */
export const ENOUGH_MEMORY: number = 96 * MIB;

/**
 * Bytes of memory that this process may use: the limit of its control group (v1 or v2, as `docker run
 * --memory`, a pod's limit, or systemd's `MemoryMax=` sets it), or else the machine's memory.
 */
export function memoryLimit(): number {
  const machine = totalmem();
  const limit = process.constrainedMemory();
  // 0 stands for a limit that could not be read.
  return limit > 0 ? Math.min(limit, machine) : machine;
}
