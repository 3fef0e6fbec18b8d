import { readdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** Threads for file I/O, where nothing limits them. An idle thread costs next to nothing. */
const MAX_IO_THREADS = 32;
const MIN_IO_THREADS = 2;
/** Threads of Bun that compile and collect garbage in parallel: one per processor, up to this. */
const MAX_HELPERS = 8;
/** All others, and the processes that start the program. */
const OTHERS = 12;
/** With so many allowed, nobody comes near the limit: then it is not counted who has some. */
const PLENTY = 4096;

/** How many processes and threads there may be, and what sets that. */
export interface ThreadLimit {
  readonly count: number;
  /** How many of them others have. */
  readonly taken: number;
  /** For messages: what to raise. */
  readonly setting: string;
}

/** The lowest limit that applies to this process; `undefined` if there is none. */
export function threadLimit(): ThreadLimit | undefined {
  return [userLimit(), groupLimit()]
    .filter((limit) => limit !== undefined)
    .toSorted((one, other) => roomOf(one) - roomOf(other))[0];
}

/**
 * How many threads for file I/O fit below a limit; `undefined` if the program cannot run below it: Bun
 * aborts when it cannot start a thread.
 */
export function ioThreads(
  limit: ThreadLimit | undefined,
  processors = availableParallelism(),
): number | undefined {
  const left = (limit ? roomOf(limit) : Infinity) - neededBesides(processors);
  return left < MIN_IO_THREADS ? undefined : Math.min(MAX_IO_THREADS, left);
}

/** How many threads a limit leaves for anything else, with all threads for file I/O. */
export function spareThreads(
  limit: ThreadLimit | undefined,
  processors = availableParallelism(),
): number {
  if (!limit) return Infinity;
  return Math.max(0, roomOf(limit) - neededBesides(processors) - MAX_IO_THREADS);
}

export function tooFewThreads({ count, taken, setting }: ThreadLimit): string {
  const needed = neededBesides(availableParallelism()) + MIN_IO_THREADS;
  const others = taken > 0 ? `, others have ${taken} of them` : "";
  return `only ${count} processes and threads are allowed here${others}, and at least ${needed} are needed (64 are good): raise ${setting}`;
}

function neededBesides(processors: number): number {
  return OTHERS + Math.min(MAX_HELPERS, processors);
}

function roomOf({ count, taken }: ThreadLimit): number {
  return count - taken;
}

/** RLIMIT_NPROC (getrlimit(2)), which does not hold for root. */
function userLimit(): ThreadLimit | undefined {
  const uid = process.getuid?.() ?? 0;
  const count = Number(/^Max processes +(\d+)/m.exec(read("/proc/self/limits"))?.[1]);
  if (uid === 0 || Number.isNaN(count)) return undefined;
  const setting = "the limit of the user (ulimit -u; LimitNPROC= of a systemd unit)";
  return { count, taken: count < PLENTY ? threadsOf(uid) - ownThreads() : 0, setting };
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

function ownThreads(): number {
  return Number(/^Threads:\s*(\d+)$/m.exec(read("/proc/self/status"))?.[1] ?? 0);
}

/** The tightest of its control group and those above it (cgroups(7): `0::/path`, in version 1 `8:pids:/path`). */
function groupLimit(): ThreadLimit | undefined {
  const groups = read("/proc/self/cgroup");
  const version1 = /^\d+:(?:.*,)?pids(?:,.*)?:(\/.*)$/m.exec(groups)?.[1];
  const version2 = /^0::(\/.*)$/m.exec(groups)?.[1];
  const root = version1 === undefined ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
  const setting = "pids.max of its control group (TasksMax= of a unit, --pids-limit of Docker)";
  let tightest: ThreadLimit | undefined;
  // In a container, a path may be the host's, and the group is the root.
  for (let path = version1 ?? version2 ?? "/"; ; path = join(path, "..")) {
    // There may be no limit: `max`.
    const count = Number.parseInt(read(join(root, path, "pids.max")), 10);
    const current = Number.parseInt(read(join(root, path, "pids.current")), 10) || 0;
    const limit = { count, taken: Math.max(0, current - ownThreads()), setting };
    if (count >= 0 && !(tightest && roomOf(tightest) <= roomOf(limit))) tightest = limit;
    if (path === "/") return tightest;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
