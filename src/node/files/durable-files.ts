import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { posix } from "node:path";
import type { FileState, NodeFiles } from "./node-files.ts";
import { codeOf, filesFault } from "./node-files.ts";

/** Told before every single system call that changes something, for tests that end the process there. */
export type WriteWitness = (operation: string, path: string) => void;

/**
 * Changes files so that a crash at any moment leaves each of them either as it was or as it is to
 * be: a temporary file, fsync, rename, fsync of the directory. All paths are the node's.
 */
export class DurableFiles {
  readonly #files: NodeFiles;
  readonly #witness: WriteWitness;

  constructor(files: NodeFiles, witness: WriteWitness = () => {}) {
    this.#files = files;
    this.#witness = witness;
  }

  /** @throws FilesFault */
  write(path: string, state: FileState): void {
    this.writeAll([[path, state]]);
  }

  /**
   * Puts files of one directory into place. A directory that is not there yet comes into being with
   * all of them in it: an empty one would shadow `_default` and send pulls past it, and one without
   * the certificates that its hosts.toml names would fail them.
   *
   * @throws FilesFault
   */
  writeAll(files: readonly (readonly [path: string, state: FileState])[]): void {
    const [first] = files;
    if (first === undefined) return;
    this.#guard(first[0], () => {
      const directory = posix.dirname(this.#files.resolve(first[0]));
      if (exists(directory)) {
        for (const [path, state] of files) this.#replace(path, state);
        return;
      }
      const parent = posix.dirname(directory);
      this.#makeDirectories(parent, 0o755);
      const temporary = posix.join(parent, temporaryName(posix.basename(directory)));
      rmSync(temporary, { recursive: true, force: true });
      this.#step("mkdir", temporary, () => mkdirSync(temporary, { mode: 0o755 }));
      for (const [path, state] of files)
        this.#fill(posix.join(temporary, posix.basename(path)), state);
      this.#sync(temporary);
      this.#step("rename", directory, () => renameSync(temporary, directory));
      this.#sync(parent);
    });
  }

  #replace(path: string, state: FileState): void {
    this.#guard(path, () => {
      const real = this.#files.resolve(path);
      const temporary = temporaryPath(real);
      this.#fill(temporary, state, real);
      this.#step("rename", path, () => renameSync(temporary, real));
      this.#sync(posix.dirname(real));
    });
  }

  /** @throws FilesFault */
  remove(path: string, withDirectory: boolean): void {
    this.removeAll([path], withDirectory);
  }

  /**
   * Takes files of one directory away, with the directory where nothing else is in it and
   * `withDirectory` says so: moved out of sight first, because an emptied one shadows `_default` as
   * an empty one does.
   *
   * @throws FilesFault
   */
  removeAll(paths: readonly string[], withDirectory: boolean): void {
    const [first] = paths;
    if (first === undefined) return;
    this.#guard(first, () => {
      const reals = paths.map((path) => this.#files.resolve(path)).filter(exists);
      const [real] = reals;
      if (real === undefined) return;
      const directory = posix.dirname(real);
      const names = new Set(reals.map((path) => posix.basename(path)));
      const others = readdirSync(directory).filter((name) => !names.has(name));
      if (!withDirectory || others.length > 0) {
        for (const path of reals) {
          this.#step("unlink", path, () => unlinkSync(path));
          this.#sync(directory);
        }
        return;
      }
      const parent = posix.dirname(directory);
      const hidden = posix.join(parent, temporaryName(posix.basename(directory)));
      this.#step("rename", directory, () => renameSync(directory, hidden));
      this.#sync(parent);
      this.#step("rm", hidden, () => rmSync(hidden, { recursive: true }));
      this.#sync(parent);
    });
  }

  /** Makes a directory with all above it that is missing; one that is there stays as it is. */
  makeDirectory(path: string, mode: number): void {
    this.#guard(path, () => this.#makeDirectories(this.#files.resolve(path), mode));
  }

  /** Takes an empty directory away; one that is not empty or not there is left as it is. */
  removeDirectory(path: string): void {
    this.#guard(path, () => {
      const real = this.#files.resolve(path);
      try {
        this.#step("rmdir", path, () => rmdirSync(real));
      } catch (error) {
        if (!["ENOTEMPTY", "ENOENT", "EEXIST", "EBUSY", "ENOTDIR"].includes(codeOf(error) ?? ""))
          throw error;
      }
    });
  }

  /** Removes what a crash may have left of a `write` or `remove` of this path. */
  tidy(path: string): void {
    this.#guard(path, () => {
      const real = this.#files.resolve(path);
      const directory = posix.dirname(real);
      const parent = posix.dirname(directory);
      const left = temporaryPath(real);
      const hidden = posix.join(parent, temporaryName(posix.basename(directory)));
      // Below a file of somebody, where a directory is meant, rm fails whatever `force` says.
      if (exists(left)) rmSync(left);
      if (exists(hidden)) rmSync(hidden, { recursive: true });
    });
  }

  /** @param former what it replaces, where it is there: SELinux's label and access lists stay. */
  #fill(real: string, state: FileState, former?: string): void {
    this.#step("write", real, () => {
      if (former !== undefined && exists(former)) copyAttributes(former, real);
      const handle = openSync(real, "w", 0o600);
      try {
        let at = 0;
        while (at < state.bytes.length) at += writeSync(handle, state.bytes, at);
        chmodSync(real, state.mode);
        // Files of another owner stay theirs; only root can do so, and only root gets this far.
        if (process.getuid?.() === 0) chownSync(real, state.uid, state.gid);
        this.#step("fsync", real, () => fsyncSync(handle));
      } finally {
        closeSync(handle);
      }
    });
  }

  #makeDirectories(real: string, mode: number): void {
    if (exists(real)) return;
    const parent = posix.dirname(real);
    this.#makeDirectories(parent, mode);
    // recursive: another run may make it at the same time.
    this.#step("mkdir", real, () => mkdirSync(real, { recursive: true, mode }));
    this.#sync(parent);
  }

  #sync(real: string): void {
    this.#step("fsync", real, () => {
      const handle = openSync(real, "r");
      try {
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    });
  }

  #step(operation: string, path: string, act: () => void): void {
    this.#witness(operation, path);
    act();
  }

  #guard(path: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      throw filesFault(path, error);
    }
  }
}

/** Where a file that is there already is written before it takes its place. */
export function temporaryPath(path: string): string {
  return posix.join(posix.dirname(path), temporaryName(posix.basename(path)));
}

/** No registry's name begins with a dot, and no `imports = ["*.toml"]` matches the ending. */
function temporaryName(name: string): string {
  return `.${name}.entrepot-new`;
}

function exists(real: string): boolean {
  try {
    return statSync(real, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return false;
    throw error;
  }
}

/**
 * Bun knows no extended attributes; coreutils does. Where they cannot be kept the file is written
 * all the same, with its mode and owner: a node without them has none to lose.
 */
function copyAttributes(from: string, to: string): void {
  spawnSync("cp", ["--attributes-only", "--preserve=all", "--", from, to], { stdio: "ignore" });
}
