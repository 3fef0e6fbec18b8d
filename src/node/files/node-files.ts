import { lstatSync, readFileSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join, normalize, posix } from "node:path";

/** Why a file could not be read or written. */
export type FilesFaultKind =
  /** EACCES, EPERM. */
  | "forbidden"
  /** EROFS. */
  | "read-only"
  /** ENOSPC, EDQUOT. */
  | "full"
  /** Symbolic links that form a loop (ELOOP). */
  | "loop"
  /** Text was expected, but the bytes are not valid UTF-8. */
  | "not-text"
  | "failed";

export class FilesFault extends Error {
  override readonly name = "FilesFault";

  constructor(
    readonly kind: FilesFaultKind,
    /** The path on the node. */
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The content and attributes of a regular file that a rollback has to restore. */
export interface FileState {
  readonly bytes: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A file of root's that everybody may read. */
export function newFile(text: string): FileState {
  return { bytes: new TextEncoder().encode(text), mode: 0o644, uid: 0, gid: 0 };
}

export function withText(state: FileState, text: string): FileState {
  return { ...state, bytes: new TextEncoder().encode(text) };
}

/** Read access to a node's files. An absent file is undefined, never an error. */
export interface FileView {
  /** @throws FilesFault */
  read(path: string): FileState | undefined;
  /** The sorted names in a directory. Undefined if there is no such directory. @throws FilesFault */
  list(path: string): readonly string[] | undefined;
  isDirectory(path: string): boolean;
  /** Resolves symbolic links: two paths with the same result are the same file. @throws FilesFault */
  resolve(path: string): string;
}

/** @throws FilesFault, of kind `not-text` if the file is not valid UTF-8. */
export function readText(view: FileView, path: string): string | undefined {
  const state = view.read(path);
  return state === undefined ? undefined : decodeText(state.bytes, path);
}

/** @throws FilesFault of kind `not-text`. */
export function decodeText(bytes: Uint8Array, path: string): string {
  try {
    // The byte order mark stays in the text, because an edit must not change any other byte.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FilesFault("not-text", path, `${path} is not valid UTF-8: save it as UTF-8`, {
      cause,
    });
  }
}

/** Decodes bytes for inspection only: invalid UTF-8 becomes U+FFFD. */
export function lossyText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** The first bytes that a TOML parser may reject, a byte order mark or invalid UTF-8. */
export function oddBytes(
  text: string,
): { readonly line: number; readonly what: string } | undefined {
  if (text.startsWith("\uFEFF")) return { line: 1, what: "a byte order mark" };
  const at = text.indexOf("\uFFFD");
  if (at === -1) return undefined;
  return { line: text.slice(0, at).split("\n").length, what: "bytes that are not valid UTF-8" };
}

const MAX_LINKS = 40;

/**
 * The files of the node, which is this machine or a tree below `root`. Symbolic links are resolved as
 * in a chroot: an absolute link inside an image must not lead to this machine's own files.
 */
export class NodeFiles implements FileView {
  constructor(readonly root = "/") {}

  /** Whether the files are those of this machine as this process sees it, and not a mounted tree. */
  get isOwnRoot(): boolean {
    return normalize(this.root) === "/";
  }

  /** The path on this machine, with symbolic links resolved. The last component need not exist. */
  resolve(path: string): string {
    let links = 0;
    let resolved = "/";
    let remaining = posix.normalize(path).split("/").filter(Boolean);
    while (remaining.length > 0) {
      const [component = "", ...rest] = remaining;
      remaining = rest;
      if (component === "..") {
        resolved = posix.dirname(resolved);
        continue;
      }
      const next = posix.join(resolved, component);
      const target = this.#readLink(next);
      if (target === undefined) {
        resolved = next;
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) throw new FilesFault("loop", path, `${path}: too many symbolic links`);
      if (target.startsWith("/")) resolved = "/";
      remaining = [...target.split("/").filter((name) => name !== "" && name !== "."), ...rest];
    }
    return normalize(join(this.root, resolved));
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
      // A looping link in a directory must not prevent its other entries from being listed.
      if (error instanceof FilesFault && error.kind === "loop") return false;
      throw error;
    }
  }

  /** The file's mtime in milliseconds since the epoch. */
  modifiedAt(path: string): number | undefined {
    return attempt(path, () => statSync(this.resolve(path)).mtimeMs);
  }

  /**
   * When a file or directory got its present content or name, in milliseconds since the epoch: its ctime,
   * which a program that copies a file with its times cannot set.
   */
  changedAt(path: string): number | undefined {
    return attempt(path, () => statSync(this.resolve(path)).ctimeMs);
  }

  /** How many names a file has: more than one if there are hard links to it. */
  linkCount(path: string): number {
    return attempt(path, () => statSync(this.resolve(path)).nlink) ?? 0;
  }

  /** The target of a symbolic link, or undefined for anything else. */
  #readLink(path: string): string | undefined {
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

/** The errno name of a system error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Turns a system error into a FilesFault that says what the operator can do about it. */
export function filesFault(path: string, error: unknown): FilesFault {
  if (error instanceof FilesFault) return error;
  const because = { cause: error };
  const code = codeOf(error) ?? "";
  if (code === "EPERM" && process.getuid?.() === 0) {
    const what = `${path}: not permitted even for root: is it immutable (lsattr shows i) or protected by a policy?`;
    return new FilesFault("forbidden", path, what, because);
  }
  if (code === "EBUSY") {
    const what = `${path}: it is a mount point and cannot be replaced: mount its directory instead`;
    return new FilesFault("failed", path, what, because);
  }
  if (code === "EISDIR") {
    const what = `${path}: there is a directory where a file has to be: move it away`;
    return new FilesFault("failed", path, what, because);
  }
  if (code === "ENOTDIR") {
    const what = `${path}: there is a file where one of its directories has to be: move it away`;
    return new FilesFault("failed", path, what, because);
  }
  if (code === "EACCES" || code === "EPERM") {
    return new FilesFault("forbidden", path, `${path}: permission denied (run as root)`, because);
  }
  if (code === "EROFS") {
    return new FilesFault("read-only", path, `${path}: the file system is read-only`, because);
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new FilesFault("full", path, `${path}: no space left on device`, because);
  }
  return new FilesFault("failed", path, `${path}: ${String(error)}`, because);
}

/** A view in which the given files replace those of the view below. `undefined` hides a file. */
export class OverlaidFiles implements FileView {
  readonly #below: FileView;
  readonly #files: ReadonlyMap<string, FileState | undefined>;

  constructor(below: FileView, files: ReadonlyMap<string, FileState | undefined>) {
    this.#below = below;
    this.#files = files;
  }

  read(path: string): FileState | undefined {
    return this.#files.has(path) ? this.#files.get(path) : this.#below.read(path);
  }

  resolve(path: string): string {
    return this.#below.resolve(path);
  }

  list(path: string): readonly string[] | undefined {
    if (!this.isDirectory(path)) return undefined;
    const names = new Set(this.#below.list(path) ?? []);
    for (const [file, state] of this.#files) {
      if (posix.dirname(file) !== path) continue;
      if (state === undefined) names.delete(posix.basename(file));
      else names.add(posix.basename(file));
    }
    return [...names]
      .filter((name) => {
        const inner = posix.join(path, name);
        return !this.#below.isDirectory(inner) || this.isDirectory(inner);
      })
      .sort();
  }

  /** A directory that contains nothing but hidden files does not exist in this view. */
  isDirectory(path: string): boolean {
    const inside = [...this.#files].filter(([file]) => file.startsWith(`${path}/`));
    if (inside.some(([, state]) => state !== undefined)) return true;
    if (!this.#below.isDirectory(path)) return false;
    if (inside.length === 0) return true;
    const hidden = new Set(inside.map(([file]) => file));
    return (this.#below.list(path) ?? []).some((name) => !hidden.has(posix.join(path, name)));
  }
}
