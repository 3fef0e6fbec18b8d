import { readFileSync } from "node:fs";

/**
 * Bytes of memory that this process keeps, and that the kernel cannot get back: without the pages of files, such
 * as the program itself.
 */
export function anonymousMemory(): number {
  try {
    const status = readFileSync("/proc/self/status", "latin1");
    return Number(/^RssAnon:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
