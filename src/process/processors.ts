import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/**
 * How many processors this process may use: those of its affinity, or what the tightest quota of its control group
 * and of those above it comes to (`CPUQuota=` of a unit, `--cpus` of Docker, the limit of a pod).
 */
export function availableProcessors(
  read: (file: string) => string = readText,
  processors = availableParallelism(),
): number {
  const groups = read("/proc/self/cgroup");
  const version1 = /^\d+:(?:.*,)?cpu(?:,.*)?:(\/.*)$/m.exec(groups)?.[1];
  const version2 = /^0::(\/.*)$/m.exec(groups)?.[1];
  const quotaOf =
    version1 === undefined
      ? (path: string) => read(join("/sys/fs/cgroup", path, "cpu.max"))
      : (path: string) =>
          ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            .map((name) => read(join("/sys/fs/cgroup/cpu", path, name)).trim())
            .join(" ");
  let least = processors;
  // In a container, a path may be the host's, and the group is the root.
  for (let path = version1 ?? version2 ?? "/"; ; path = join(path, "..")) {
    // Microseconds in a period: "200000 100000". Without a quota, it begins with "max" or "-1".
    const [, quota, period] = /^(\d+) (\d+)/.exec(quotaOf(path)) ?? [];
    if (quota !== undefined && Number(period) > 0) {
      least = Math.min(least, Number(quota) / Number(period));
    }
    if (path === "/") return Math.max(1, Math.floor(least));
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
