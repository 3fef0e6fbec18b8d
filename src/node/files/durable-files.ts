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

/** Called before every system call that changes something, so that tests can crash the process there. */
export type SyscallHook = (operation: string, path: string) => void;

/**
 * Writes and removes files atomically and durably: temporary file, fsync, rename, fsync of the
 * directory. After a crash at any time, each file has either its old or its new state. All paths are
 * paths of the node.
 */
export class DurableFiles {
  readonly #files: NodeFiles;
  readonly #beforeSyscall: SyscallHook;

  constructor(files: NodeFiles, beforeSyscall: SyscallHook = () => {}) {
    this.#files = files;
    this.#beforeSyscall = beforeSyscall;
  }

  /** @throws FilesFault */
  write(path: string, state: FileState): void {
    this.writeAll([[path, state]]);
  }

  /**
   * Writes files of one directory. A directory that does not exist yet appears together with all its
   * files: an empty one would shadow `_default` and make pulls bypass it, and one without the
   * certificates that its hosts.toml names would make pulls fail.
   *
   * @throws FilesFault
   */
  writeAll(files: readonly (readonly [path: string, state: FileState])[]): void {
    const [first] = files;
    if (first === undefined) return;
    this.#wrapErrors(first[0], () => {
      const directory = posix.dirname(this.#files.resolve(first[0]));
      if (exists(directory)) {
        for (const [path, state] of files) this.#replace(path, state);
        return;
      }
      const parent = posix.dirname(directory);
      this.#makeDirectories(parent, 0o755);
      const temporary = posix.join(parent, temporaryName(posix.basename(directory)));
      rmSync(temporary, { recursive: true, force: true });
      withoutLeftover(temporary, () => {
        this.#call("mkdir", temporary, () => mkdirSync(temporary, { mode: 0o755 }));
        for (const [path, state] of files)
          this.#writeContents(
            // A symbolic link may lead to another name in a directory that does not exist yet.
            posix.join(temporary, posix.basename(this.#files.resolve(path))),
            state,
          );
        this.#sync(temporary);
        this.#call("rename", directory, () => renameSync(temporary, directory));
      });
      this.#sync(parent);
    });
  }

  #replace(path: string, state: FileState): void {
    this.#wrapErrors(path, () => {
      const real = this.#files.resolve(path);
      const temporary = temporaryPath(real);
      withoutLeftover(temporary, () => {
        this.#writeContents(temporary, state, real);
        this.#call("rename", path, () => renameSync(temporary, real));
      });
      this.#sync(posix.dirname(real));
    });
  }

  /** @throws FilesFault */
  remove(path: string, withDirectory: boolean): void {
    this.removeAll([path], withDirectory);
  }

  /**
   * Removes files of one directory. With `withDirectory`, a directory that contains nothing else is
   * removed as well: it is renamed to a hidden name first, because an empty directory shadows
   * `_default`.
   *
   * @throws FilesFault
   */
  removeAll(paths: readonly string[], withDirectory: boolean): void {
    const [first] = paths;
    if (first === undefined) return;
    this.#wrapErrors(first, () => {
      const reals = paths.map((path) => this.#files.resolve(path)).filter(exists);
      const [real] = reals;
      if (real === undefined) return;
      const directory = posix.dirname(real);
      const names = new Set(reals.map((path) => posix.basename(path)));
      const others = readdirSync(directory).filter((name) => !names.has(name));
      if (!withDirectory || others.length > 0) {
        for (const path of reals) {
          this.#call("unlink", path, () => unlinkSync(path));
          this.#sync(directory);
        }
        return;
      }
      const parent = posix.dirname(directory);
      const hidden = posix.join(parent, temporaryName(posix.basename(directory)));
      this.#call("rename", directory, () => renameSync(directory, hidden));
      this.#sync(parent);
      this.#call("rm", hidden, () => rmSync(hidden, { recursive: true }));
      this.#sync(parent);
    });
  }

  /**
   * Creates a directory and its missing parents, as `mkdir -p` does.
   *
   * @throws FilesFault
   */
  makeDirectory(path: string, mode: number): void {
    this.#wrapErrors(path, () => this.#makeDirectories(this.#files.resolve(path), mode));
  }

  /**
   * Removes an empty directory. Does nothing if it is not empty or absent.
   *
   * @throws FilesFault
   */
  removeDirectory(path: string): void {
    this.#wrapErrors(path, () => {
      const real = this.#files.resolve(path);
      // A read-only file system is named before a missing directory.
      if (!exists(real)) return;
      try {
        this.#call("rmdir", path, () => rmdirSync(real));
      } catch (error) {
        if (!["ENOTEMPTY", "ENOENT", "EEXIST", "EBUSY", "ENOTDIR"].includes(codeOf(error) ?? ""))
          throw error;
      }
    });
  }

  /**
   * Removes what an interrupted `write` or `remove` of this path may have left.
   *
   * @throws FilesFault
   */
  removeTemporaryFiles(path: string): void {
    this.#wrapErrors(path, () => {
      const real = this.#files.resolve(path);
      const directory = posix.dirname(real);
      const parent = posix.dirname(directory);
      const leftover = temporaryPath(real);
      const hidden = posix.join(parent, temporaryName(posix.basename(directory)));
      // rmSync fails with ENOTDIR if a parent is a regular file, even with `force`.
      if (exists(leftover)) rmSync(leftover);
      if (exists(hidden)) rmSync(hidden, { recursive: true });
    });
  }

  /** @param former the file that is replaced: its SELinux label and ACLs are copied if it exists. */
  #writeContents(real: string, state: FileState, former?: string): void {
    this.#call("write", real, () => {
      if (former !== undefined && exists(former)) copyAttributes(former, real);
      const handle = openSync(real, "w", 0o600);
      try {
        let at = 0;
        while (at < state.bytes.length) at += writeSync(handle, state.bytes, at);
        chmodSync(real, state.mode);
        // The file keeps its owner. Only root can set it.
        if (process.getuid?.() === 0) chownSync(real, state.uid, state.gid);
        this.#call("fsync", real, () => fsyncSync(handle));
      } finally {
        closeSync(handle);
      }
    });
  }

  #makeDirectories(real: string, mode: number): void {
    if (exists(real)) return;
    const parent = posix.dirname(real);
    this.#makeDirectories(parent, mode);
    // recursive: another run may create it at the same time.
    this.#call("mkdir", real, () => mkdirSync(real, { recursive: true, mode }));
    this.#sync(parent);
  }

  #sync(real: string): void {
    this.#call("fsync", real, () => {
      const handle = openSync(real, "r");
      try {
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
    });
  }

  #call(operation: string, path: string, act: () => void): void {
    this.#beforeSyscall(operation, path);
    act();
  }

  #wrapErrors(path: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      throw filesFault(path, error);
    }
  }
}

/** Removes what was written for a rename that did not come about. */
function withoutLeftover(temporary: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    try {
      rmSync(temporary, { recursive: true, force: true });
    } catch {
      // Where nothing can be removed, the first error says why.
    }
    throw error;
  }
}

/** The path to which the new content of an existing file is written before the rename. */
export function temporaryPath(path: string): string {
  return posix.join(posix.dirname(path), temporaryName(posix.basename(path)));
}

/** No registry name begins with a dot, and `imports = ["*.toml"]` does not match the extension. */
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
 * Copies extended attributes with coreutils, because Bun has no call for them. An error is ignored: the
 * file is written with its mode and owner, and a file system without extended attributes has none.
 */
function copyAttributes(from: string, to: string): void {
  spawnSync("cp", ["--attributes-only", "--preserve=all", "--", from, to], { stdio: "ignore" });
}
