import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The machine as the checks see it; tests substitute a fake. */
export interface Machine {
  /** A file's text; undefined if it cannot be read. */
  readonly read: (path: string) => string | undefined;
  /** What a symbolic link refers to; undefined if it cannot be read. */
  readonly link: (path: string) => string | undefined;
  /** The names in a directory, sorted; empty if it cannot be read. */
  readonly list: (path: string) => readonly string[];
  /** A program's standard output; undefined if the program is not installed or fails. */
  readonly run: (command: readonly string[]) => string | undefined;
}

/** Timeout of each program that a check runs. */
const TIMEOUT_MS = 5_000;

export const thisMachine: Machine = {
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return undefined;
    }
  },
  link(path) {
    try {
      return readlinkSync(path);
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
    // Tools such as nft are only in root's PATH, but some of their commands work for other users.
    const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
    const executable = Bun.which(program, { PATH });
    if (executable === null) return undefined;
    const { exitCode, stdout } = Bun.spawnSync([executable, ...args], {
      timeout: TIMEOUT_MS,
      stderr: "ignore",
    });
    return exitCode === 0 ? stdout.toString() : undefined;
  },
};
