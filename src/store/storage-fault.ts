import { Fault } from "../oci/fault.ts";

/** What the system's codes mean to whoever has to mend it. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied: the user that runs the cache needs to read and write there",
  EDQUOT: "the disk quota is used up",
  EEXIST: "a file is in the way where a directory belongs",
  EIO: "the disk reports an input/output error: look into the kernel's log",
  EMFILE: "too many open files: raise the limit (LimitNOFILE in a systemd unit)",
  ENOENT: "there is no such file or folder",
  ENOSPC: "the disk is full",
  ENOTDIR: "a file is in the way where a directory belongs",
  EPERM: "permission denied: the user that runs the cache needs to read and write there",
  EROFS: "the file system is mounted read-only",
};

/** What the system and SQLite say where there is no space left, on the disk or in a quota. */
const NO_SPACE_CODES: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "SQLITE_FULL"]);

/**
 * A failed call of the system as a fault: `no-space` where the disk or a quota is full, else
 * `storage`. A fault passes as it is.
 */
export function storageFault(doing: string, cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  const reason = `cannot ${doing}: ${describeSystemError(cause)}`;
  return new Fault({ kind: storageKind(systemCode(cause)), reason }, { cause });
}

export function storageKind(code: string | undefined): "storage" | "no-space" {
  return code !== undefined && NO_SPACE_CODES.has(code) ? "no-space" : "storage";
}

/** In words what a failed call of the system means. */
export function describeSystemError(cause: unknown): string {
  const code = systemCode(cause);
  if (code !== undefined) return `${DESCRIPTIONS[code] ?? "the system refused it"} (${code})`;
  return cause instanceof Error ? cause.message : String(cause);
}

/** `ENOENT` and its like, where the error carries one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
