import type { LocalLimit } from "../../oci/fault.ts";
import { Fault } from "../../oci/fault.ts";
import type { DescriptorBudget } from "../../process/file-descriptors.ts";
import { describeSystemError, systemCode } from "../../store/storage-fault.ts";
import type { LocalProblems } from "../../telemetry/local-problems.ts";

const LIMITS: Readonly<Record<string, LocalLimit>> = {
  EMFILE: "file-descriptors",
  ENFILE: "file-descriptors",
  ENOMEM: "memory",
};

export function noticeFewDescriptors(
  problems: LocalProblems,
  { used, limit }: DescriptorBudget,
): void {
  const part = `the cache has ${used} of ${limit} open`;
  const advice = "Raise the limit (LimitNOFILE in a systemd unit)";
  problems.notice("file-descriptors", `file descriptors are nearly used up: ${part}. ${advice}`);
}

/** What is wrong with a slow disk, by its figures, and what to do. */
export function slowDiskText(figures: string): string {
  return `the disk is slow: ${figures}. What is stored is served, but new blobs take long to store. Move storage.dir to a faster disk, or find what else keeps this one busy (iostat -x)`;
}

/**
 * Notices that what was learnt about images could not be recorded, in a sidecar file or the database. A
 * lack of space is told as such.
 */
export function noticeFailingWrite(problems: LocalProblems, error: unknown): void {
  if (noticeExhaustedLimit(problems, error)) return;
  if (!(error instanceof Fault) || error.detail.kind !== "storage") return;
  const meanwhile = "It is asked of the registries again when it is needed, and tried again";
  const advice =
    "Mend what the message names: the owner or mode of the file, the disk (dmesg, smartctl -a), or another process that locks the database";
  const text = `metadata cannot be written, though blobs may be: ${error.message}. ${meanwhile}. ${advice}`;
  problems.notice("failing-writes", text);
}

/**
 * Notices that a blob or a manifest could not be stored. A disk that is too slow for it is told with its
 * figures, and has no error.
 */
export function noticeUnstored(problems: LocalProblems, fault: Fault): void {
  if (noticeExhaustedLimit(problems, fault)) return;
  if (fault.detail.kind !== "storage" || systemCode(fault.cause) === undefined) return;
  const text = `blobs cannot be stored: ${fault.message}. They are served from the registries. Mend what the message names: the owner or mode of the file, or the disk (dmesg, smartctl -a)`;
  problems.notice("failing-writes", text);
}

/**
 * Notices that a file could not be used for lack of descriptors or memory: neither the file nor its disk is
 * to blame. Returns whether that is so.
 */
export function noticeExhaustedLimit(problems: LocalProblems, error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  const limit = LIMITS[systemCode(cause) ?? ""];
  if (limit === undefined) return false;
  problems.notice(limit, `files of the store cannot be used: ${describeSystemError(cause)}`);
  return true;
}
