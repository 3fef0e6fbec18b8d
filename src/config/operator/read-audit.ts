import path from "node:path";
import { quote } from "../parsing/problems.ts";
import type { AuditSettings } from "./audit-settings.ts";

const MIB = 1024 * 1024;
const DEFAULT_SIZE = 100 * MIB;
const DEFAULT_KEEP = 10;
const LOG = "log";

interface AuditEntry {
  readonly to?: string | undefined;
  readonly maxSize?: number | undefined;
  readonly keep?: number | undefined;
}

interface AuditContext {
  /** The directory that relative paths refer to. */
  readonly folder: string;
  readonly report: (at: string[], message: string, subject: "key" | "value") => void;
}

/** Reads `audit` of the configuration. Problems are reported. */
export function readAudit(
  { to = LOG, maxSize = DEFAULT_SIZE, keep = DEFAULT_KEEP }: AuditEntry,
  { folder, report }: AuditContext,
): AuditSettings {
  if (maxSize < MIB) report(["audit", "maxSize"], "is less than 1MiB", "value");
  if (to.includes("\0") || to.endsWith("/")) {
    report(["audit", "to"], `${quote(to)} is not a valid path of a file`, "value");
  }
  return { maxSize, keep, ...(to === LOG ? {} : { file: path.resolve(folder, to) }) };
}
