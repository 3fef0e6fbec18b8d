import { Fault } from "../oci/fault.ts";

/** What error codes of the system mean, for the operator who has to act on them. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied: the user that runs the cache needs read and write access",
  EDQUOT: "the disk quota is used up",
  EEXIST: "a file exists where a directory is needed",
  EIO: "the disk reports an input/output error: check the kernel log",
  ELOOP: "a symbolic link is where a file or directory is needed: remove it",
  EMFILE: "too many open files: raise the limit (LimitNOFILE in a systemd unit)",
  ENFILE: "the machine has too many open files: raise fs.file-max (sysctl)",
  ENOMEM: "the kernel has no memory for it: raise the memory limit, or free memory",
  ENOENT: "no such file or directory",
  ENOSPC: "the disk is full",
  ENOTDIR: "a file exists where a directory is needed",
  EPERM: "permission denied: the user that runs the cache needs read and write access",
  EROFS: "the file system is mounted read-only",
};

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

/** A description of a failed system call for people, with its code: `the disk is full (ENOSPC)`. */
export function describeSystemError(cause: unknown): string {
  const code = systemCode(cause);
  if (code !== undefined) return `${DESCRIPTIONS[code] ?? "the system call failed"} (${code})`;
  return cause instanceof Error ? cause.message : String(cause);
}

/** The error's code, such as `ENOENT`; `undefined` if it has none. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
