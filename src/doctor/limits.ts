import path from "node:path";
import { about, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

/** A connection and a file for each pull under way, and the files of the index. */
const FILES_NEEDED = 4_096;

/** The limits of the cache that runs; of this session, which a cache started here has, where none does. */
export function limitFindings(folder: string, machine: Machine): Finding[] {
  const report = about("limits", "open files");
  const pid = runningCache(folder, machine);
  const file = `/proc/${pid ?? "self"}/limits`;
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(machine.read(file) ?? "") ?? [];
  if (soft === undefined) return [report("unknown", `${file} cannot be read`)];
  const whose = pid === undefined ? "in this session" : `for the cache, process ${pid}`;
  const found = `${soft}, at most ${hard}, ${whose}`;
  if (soft === "unlimited" || Number(soft) >= FILES_NEEDED) return [report("ok", found)];
  return [report("note", found, "the unit sets LimitNOFILE=65536; by hand: ulimit -n 65536")];
}

/** Who has the data directory, as this machine counts processes: a container counts its own. */
function runningCache(folder: string, machine: Machine): string | undefined {
  const pid = machine.read(path.join(folder, "lock.pid"))?.trim();
  if (pid === undefined || !/^\d+$/.test(pid)) return undefined;
  // Where a cache was killed its number stays behind, and is somebody else's later.
  const isCache = machine.read(`/proc/${pid}/cmdline`)?.split("\0").includes("serve");
  return isCache ? pid : undefined;
}
