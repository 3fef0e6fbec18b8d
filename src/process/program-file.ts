import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** What a thread of this process runs: a file of src/. */
export type ThreadProgram = "download-worker" | "hit-worker";

/**
 * The file that a thread runs: beside the program where that is one file, the bundle of `npm start` or the executable,
 * and otherwise the source.
 */
export function programFile(program: ThreadProgram): string {
  const bundled = join(dirname(Bun.main), `${program}.js`);
  return existsSync(bundled) ? bundled : new URL(`../${program}.ts`, import.meta.url).href;
}
