import { totalmem } from "node:os";

const MIB = 1024 * 1024;

/** With less, the kernel ends the process in its first pulls, in bytes. */
const LEAST_MEMORY: number = 64 * MIB;
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

/** Why a cache cannot run with so many bytes of memory; undefined if it can. */
export function tooLittleMemory(limit: number): string | undefined {
  if (limit >= LEAST_MEMORY) return undefined;
  const [has, enough] = [limit, ENOUGH_MEMORY].map((bytes) => `${Math.floor(bytes / MIB)} MiB`);
  return `a memory limit of ${has} is too small: give it at least ${enough}`;
}
