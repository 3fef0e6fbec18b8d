import path from "node:path";
import { type Finding, reporter } from "./finding.ts";
import type { Machine } from "./machine.ts";

/** Enough for a connection and a file per concurrent pull, and for the metadata database. */
const FILES_NEEDED = 4_096;

/**
 * Checks the limit on open files of the running cache. If no cache runs, checks this session's
 * limit, which a cache started from it would inherit.
 */
export function limitFindings(folder: string, machine: Machine): Finding[] {
  const report = reporter("limits", "open files");
  const pid = runningCache(folder, machine);
  const file = `/proc/${pid ?? "self"}/limits`;
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(machine.read(file) ?? "") ?? [];
  if (soft === undefined) return [report("unknown", `${file} cannot be read`)];
  const scope = pid === undefined ? "in this session" : `for the cache, process ${pid}`;
  const found = `${soft} (hard limit ${hard}) ${scope}`;
  if (soft === "unlimited" || Number(soft) >= FILES_NEEDED) return [report("ok", found)];
  return [
    report(
      "note",
      found,
      "raise the limit to 65536: LimitNOFILE=65536 in the systemd unit (the supplied unit has it), or `ulimit -n 65536` in the shell",
    ),
  ];
}

/**
 * The process ID in the data directory's lock file, if it is a cache on this machine. A cache in a
 * container records the ID of its own PID namespace, which can belong to another process here.
 */
function runningCache(folder: string, machine: Machine): string | undefined {
  const pid = machine.read(path.join(folder, "lock.pid"))?.trim();
  if (pid === undefined || !/^\d+$/.test(pid)) return undefined;
  // A killed cache leaves its lock file behind, and its process ID may have been reused since.
  const isCache = machine.read(`/proc/${pid}/cmdline`)?.split("\0").includes("serve");
  return isCache ? pid : undefined;
}
