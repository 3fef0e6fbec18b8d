import { lstatSync, readFileSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join, normalize, posix } from "node:path";

/** What kept a file from being read or written. */
export type FilesFaultKind =
  /** EACCES, EPERM. */
  | "forbidden"
  /** EROFS. */
  | "read-only"
  /** ENOSPC, EDQUOT. */
  | "full"
  /** Links that lead to each other. */
  | "loop"
  /** Text was expected and the bytes are no UTF-8. */
  | "not-text"
  | "failed";

export class FilesFault extends Error {
  override readonly name = "FilesFault";

  constructor(
    readonly kind: FilesFaultKind,
    /** As the node has it. */
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A regular file with all that a rollback has to put back. */
export interface FileState {
  readonly bytes: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What a planner may know of a node's files. Absent is undefined, never an error. */
export interface FileView {
  read(path: string): FileState | undefined;
  /** Names in a directory, sorted; undefined where there is none. */
  list(path: string): readonly string[] | undefined;
  isDirectory(path: string): boolean;
  /** Links resolved: two paths with the same answer are one file. */
  resolve(path: string): string;
}

/** @throws FilesFault of kind `not-text`. */
export function readText(view: FileView, path: string): string | undefined {
  const state = view.read(path);
  return state === undefined ? undefined : decodeText(state.bytes, path);
}

export function decodeText(bytes: Uint8Array, path: string): string {
  try {
    // A byte order mark stays in the text: an edit gives every other byte back as it was.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FilesFault("not-text", path, `${path} is no UTF-8 text: save it as UTF-8`, { cause });
  }
}

/** The text that somebody meant, for who only looks: what is no UTF-8 becomes U+FFFD. */
export function lossyText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Bytes that a reader of text may stumble over, and what they are. */
export function oddBytes(
  text: string,
): { readonly line: number; readonly what: string } | undefined {
  if (text.startsWith("\uFEFF")) return { line: 1, what: "a byte order mark" };
  const at = text.indexOf("\uFFFD");
  if (at === -1) return undefined;
  return { line: text.slice(0, at).split("\n").length, what: "bytes that are no UTF-8" };
}

const MAX_LINKS = 40;

/**
 * The files of the node, which is this machine or a tree below `root`. Symbolic links are followed
 * as the node would: an absolute one inside an image must not lead to this machine's own files.
 */
export class NodeFiles implements FileView {
  constructor(readonly root = "/") {}

  /** Where a node's path really is on this machine, links resolved; the last part need not exist. */
  resolve(path: string): string {
    let links = 0;
    let done = "/";
    let todo = posix.normalize(path).split("/").filter(Boolean);
    while (todo.length > 0) {
      const [part = "", ...rest] = todo;
      todo = rest;
      if (part === "..") {
        done = posix.dirname(done);
        continue;
      }
      const here = posix.join(done, part);
      const target = this.#link(here);
      if (target === undefined) {
        done = here;
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) throw new FilesFault("loop", path, `${path}: too many links`);
      if (target.startsWith("/")) done = "/";
      todo = [...target.split("/").filter((name) => name !== "" && name !== "."), ...rest];
    }
    return normalize(join(this.root, done));
  }

  read(path: string): FileState | undefined {
    return attempt(path, () => {
      const real = this.resolve(path);
      const stat = statSync(real);
      if (!stat.isFile()) return undefined;
      return { bytes: readFileSync(real), mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
    });
  }

  list(path: string): readonly string[] | undefined {
    return attempt(path, () => readdirSync(this.resolve(path)).sort());
  }

  isDirectory(path: string): boolean {
    try {
      return attempt(path, () => statSync(this.resolve(path)).isDirectory()) ?? false;
    } catch (error) {
      // One odd entry among many must not keep anybody from seeing the others.
      if (error instanceof FilesFault && error.kind === "loop") return false;
      throw error;
    }
  }

  /** When it last changed, in milliseconds of the epoch. */
  modifiedAt(path: string): number | undefined {
    return attempt(path, () => statSync(this.resolve(path)).mtimeMs);
  }

  #link(path: string): string | undefined {
    return attempt(path, () => {
      const real = join(this.root, path);
      return lstatSync(real).isSymbolicLink() ? readlinkSync(real) : undefined;
    });
  }
}

function attempt<T>(path: string, read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw filesFault(path, error);
  }
}

export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

export function filesFault(path: string, error: unknown): FilesFault {
  if (error instanceof FilesFault) return error;
  const because = { cause: error };
  const code = codeOf(error) ?? "";
  if (code === "EPERM" && process.getuid?.() === 0) {
    const what = `${path}: not permitted even to root: is it immutable (lsattr shows an i), or protected by a policy?`;
    return new FilesFault("forbidden", path, what, because);
  }
  if (code === "EBUSY") {
    const what = `${path}: it is a mount of its own and cannot be replaced: mount its folder instead`;
    return new FilesFault("failed", path, what, because);
  }
  if (code === "EACCES" || code === "EPERM") {
    return new FilesFault("forbidden", path, `${path}: permission denied (run as root)`, because);
  }
  if (code === "EROFS") {
    return new FilesFault("read-only", path, `${path}: the file system is read-only`, because);
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new FilesFault("full", path, `${path}: no space is left`, because);
  }
  return new FilesFault("failed", path, `${path}: ${String(error)}`, because);
}

/** Files as they were before this tool touched them; what it did not touch shows through. */
export class OverlaidFiles implements FileView {
  readonly #under: FileView;
  readonly #files: ReadonlyMap<string, FileState | undefined>;

  constructor(under: FileView, files: ReadonlyMap<string, FileState | undefined>) {
    this.#under = under;
    this.#files = files;
  }

  read(path: string): FileState | undefined {
    return this.#files.has(path) ? this.#files.get(path) : this.#under.read(path);
  }

  resolve(path: string): string {
    return this.#under.resolve(path);
  }

  list(path: string): readonly string[] | undefined {
    if (!this.isDirectory(path)) return undefined;
    const names = new Set(this.#under.list(path) ?? []);
    for (const [file, state] of this.#files) {
      if (posix.dirname(file) !== path) continue;
      if (state === undefined) names.delete(posix.basename(file));
      else names.add(posix.basename(file));
    }
    return [...names]
      .filter((name) => {
        const inner = posix.join(path, name);
        return !this.#under.isDirectory(inner) || this.isDirectory(inner);
      })
      .sort();
  }

  /** A directory that holds nothing but files of ours was not there before. */
  isDirectory(path: string): boolean {
    const below = [...this.#files].filter(([file]) => file.startsWith(`${path}/`));
    if (below.some(([, state]) => state !== undefined)) return true;
    if (!this.#under.isDirectory(path)) return false;
    if (below.length === 0) return true;
    const gone = new Set(below.map(([file]) => file));
    return (this.#under.list(path) ?? []).some((name) => !gone.has(posix.join(path, name)));
  }
}
