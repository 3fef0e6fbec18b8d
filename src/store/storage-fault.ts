import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../oci/fault.ts";

/** What error codes of the system mean, for the operator who has to act on them. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied: the user that runs the cache needs read and write access",
  EDQUOT: "the disk quota is used up",
  EEXIST: "a file exists where a directory is needed",
  EBADMSG: "the file system found a wrong checksum: check the kernel log",
  EIO: "the disk reports an input/output error: check the kernel log",
  EINVAL:
    "the file system does not support what the cache needs: use a local one, such as ext4 or XFS",
  ELOOP: "a symbolic link is where a file or directory is needed: remove it",
  EMFILE: "too many open files: raise the limit (LimitNOFILE in a systemd unit)",
  ENAMETOOLONG:
    "the path is too long for this file system: set storage.dir to a shorter one, on a file system that allows names of 200 characters",
  ENODEV: "the disk is gone: check the mount and the kernel log",
  ENOMEM: "the kernel has no memory for it: raise the memory limit, or free memory",
  ENOENT: "no such file or directory",
  ENFILE: "too many open files on this machine: raise the sysctl fs.file-max",
  ENOSPC: "the disk is full",
  ENOTCONN: "the file system's server is gone: mount it again",
  ENOTDIR: "a file exists where a directory is needed",
  EPERM: "permission denied: the user that runs the cache needs read and write access",
  ENOTSUP:
    "the file system does not support what the cache needs: use a local one, such as ext4 or XFS",
  EROFS:
    "the file system is mounted read-only: if it was writable before, the kernel log says why, and it needs fsck before it is mounted again",
  ESTALE: "the network file system's server no longer knows the file: mount it again",
  ETIMEDOUT: "the network file system does not answer: check its server",
  EUCLEAN: "the file system is damaged: unmount it and run fsck",
};

/** Limits of this process or of the machine, which a call met by chance: they say nothing of its file. */
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "EAGAIN",
  "EINTR",
]);

/** The disk, or the file system's checksums, say that what was stored cannot be had back. */
const MEDIUM_CODES: ReadonlySet<string> = new Set([
  "EIO",
  "EBADMSG",
  "EUCLEAN",
  "ENODATA",
  "EILSEQ",
]);

/** Error codes of the system and of SQLite for a full disk or a full quota. */
const NO_SPACE_CODES: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL"]);

/**
 * Turns the error of a failed system call into a `Fault`: of kind `no-space` if the disk or a
 * quota is full, else of kind `storage`. A `Fault` is returned unchanged.
 *
 * @param action what was attempted, after "cannot": for example `write /data/fills/…`
 */
export function storageFault(action: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const reason = `cannot ${action}: ${describeSystemError(cause)}`;
  return new Fault({ kind: storageKind(systemCode(cause)), reason }, { cause });
}

/** The kind of `Fault` for an error code of the system or of SQLite. */
export function storageKind(code: string | undefined): "storage" | "no-space" {
  return code !== undefined && NO_SPACE_CODES.has(code) ? "no-space" : "storage";
}

/**
 * Whether a failed read says something of its file: that it cannot be read, for whatever reason. It does
 * not where the file is missing, or a limit was met by chance.
 */
export function isUnreadable(cause: unknown): boolean {
  const code = systemCode(cause);
  return code !== undefined && code !== "ENOENT" && !TRANSIENT_CODES.has(code);
}

/** Whether a call met a limit of this process or of the machine by chance, which says nothing of its file. */
export function isTransient(error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  return TRANSIENT_CODES.has(systemCode(cause) ?? "");
}

/** Whether the disk itself failed to read, so that another permission or a restart will not help. */
export function isMediumError(cause: unknown): boolean {
  return MEDIUM_CODES.has(systemCode(cause) ?? "");
}

/** A description of a failed system call for people, with its code: `the disk is full (ENOSPC)`. */
export function describeSystemError(cause: unknown): string {
  const code = systemCode(cause);
  if (code === "ENOSPC" && hasNoInodes(cause)) return NO_INODES;
  if (code !== undefined) return `${DESCRIPTIONS[code] ?? "the system call failed"} (${code})`;
  return cause instanceof Error ? cause.message : String(cause);
}

const NO_INODES =
  "no inodes are left on the disk, though it has free space: delete small files, or use a file system with more inodes (ENOSPC)";

/** Fewer free blocks or inodes than this count as none: others may have freed some since. */
const FEW = 16;

/** Whether a file could not be created since its file system has room for bytes, but not for files. */
function hasNoInodes(cause: unknown): boolean {
  // Errors of open files have no path: those lack bytes.
  if (!(cause instanceof Error && "path" in cause && typeof cause.path === "string")) return false;
  try {
    const { files, ffree, bavail } = statfsSync(dirname(cause.path));
    return files > 0 && ffree < FEW && bavail >= FEW;
  } catch {
    return false;
  }
}

/** The error's code, such as `ENOENT`; `undefined` if it has none. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
