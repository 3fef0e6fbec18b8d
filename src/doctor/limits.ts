import { about, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

/** A connection and a file for each pull under way, and the files of the index. */
const FILES_NEEDED = 4_096;

export function limitFindings(machine: Machine): Finding[] {
  const report = about("limits", "open files");
  const text = machine.read("/proc/self/limits") ?? "";
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text) ?? [];
  if (soft === undefined) return [report("unknown", "/proc/self/limits cannot be read")];
  const found = `${soft}, at most ${hard}, in this session`;
  if (soft === "unlimited" || Number(soft) >= FILES_NEEDED) return [report("ok", found)];
  return [report("note", found, "the unit sets LimitNOFILE=65536; by hand: ulimit -n 65536")];
}
