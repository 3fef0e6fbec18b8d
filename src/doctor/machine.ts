import { readdirSync, readFileSync } from "node:fs";

/** What the checks of a machine look at; tests put a made-up one in its place. */
export interface Machine {
  /** A file's text; undefined where it cannot be read. */
  readonly read: (path: string) => string | undefined;
  /** The names in a folder; none where it cannot be read. */
  readonly list: (path: string) => readonly string[];
  /** What a program wrote; undefined where there is none, or it failed. */
  readonly run: (command: readonly string[]) => string | undefined;
}

const PATIENCE_MS = 5_000;

export const thisMachine: Machine = {
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
  list(path) {
    try {
      return readdirSync(path).sort();
    } catch {
      return [];
    }
  },
  run([program = "", ...args]) {
    // What only root has in its search path is asked as well, and fails where it must.
    const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
    const found = Bun.which(program, { PATH });
    if (found === null) return undefined;
    const { exitCode, stdout } = Bun.spawnSync([found, ...args], {
      timeout: PATIENCE_MS,
      stderr: "ignore",
    });
    return exitCode === 0 ? stdout.toString() : undefined;
  },
};
