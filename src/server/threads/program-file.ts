import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * What a worker runs: beside the program where that is one file, the bundle of `npm start` or the executable, and
 * otherwise the source.
 */
export function workerProgramFile(): string {
  const bundled = join(dirname(Bun.main), "hit-worker.js");
  return existsSync(bundled) ? bundled : new URL("../../hit-worker.ts", import.meta.url).href;
}
