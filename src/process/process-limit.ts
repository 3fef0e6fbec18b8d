import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** With so many processes allowed, nobody comes near the limit: then it is not counted who has some. */
const PLENTY = 4096;

/**
 * How many more processes and threads may be started: by the limit of the user (RLIMIT_NPROC, which does not
 * bind root) and that of the control group (`pids.max`). Infinite where that is not known.
 */
export function processRoom(): number {
  if (process.platform !== "linux") return Infinity;
  return Math.min(userRoom(), controlGroupRoom());
}

function userRoom(): number {
  const uid = process.getuid?.() ?? 0;
  const soft = /^Max processes\s+(\d+)/m.exec(read("/proc/self/limits"))?.[1];
  if (uid === 0 || soft === undefined || Number(soft) >= PLENTY) return Infinity;
  return Number(soft) - threadsOf(uid);
}

/** All processes and threads of a user, as far as they can be seen. */
function threadsOf(uid: number): number {
  let count = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const folder = join("/proc", name);
    if (statSync(folder, { throwIfNoEntry: false })?.uid !== uid) continue;
    count += Number(/^Threads:\s*(\d+)$/m.exec(read(join(folder, "status")))?.[1] ?? 0);
  }
  return count;
}

/** Of the control group of this process and those above it, the least. */
function controlGroupRoom(): number {
  const groups = read("/proc/self/cgroup");
  // cgroups(7): `0::/path` for version 2, `8:pids:/path` for version 1.
  const version1 = /^\d+:(?:.*,)?pids(?:,.*)?:(\/.*)$/m.exec(groups)?.[1];
  const version2 = /^0::(\/.*)$/m.exec(groups)?.[1];
  const root = version1 === undefined ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
  let room = Infinity;
  for (let path = version1 ?? version2 ?? "/"; ; path = join(path, "..")) {
    const limit = Number(read(join(root, path, "pids.max")).trim() || "max");
    const current = Number(read(join(root, path, "pids.current")).trim() || "0");
    // `max` is not a number.
    if (limit >= 0) room = Math.min(room, limit - current);
    if (path === "/") return room;
  }
}

/** Empty if it cannot be read. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
