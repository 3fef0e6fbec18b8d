import { totalmem } from "node:os";

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
