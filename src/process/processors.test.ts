import { expect, test } from "bun:test";
import { availableProcessors } from "./processors.ts";

function withFiles(files: Readonly<Record<string, string>>): number {
  return availableProcessors((file) => files[file] ?? "", 16);
}

test("without control groups, the processors of the affinity count", () => {
  expect(withFiles({})).toBe(16);
  expect(availableProcessors()).toBeGreaterThan(0);
});

test.each([
  ["max 100000", 16],
  ["200000 100000", 2],
  ["250000 100000", 2],
  ["50000 100000", 1],
  ["99999999 100000", 16],
  ["nonsense", 16],
])("a quota of %p gives %i", (quota, processors) => {
  const files = {
    "/proc/self/cgroup": "0::/system.slice/entrepot.service\n",
    "/sys/fs/cgroup/system.slice/entrepot.service/cpu.max": quota,
  };
  expect(withFiles(files)).toBe(processors);
});

test("the tightest quota of the groups above counts, also where the path is the host's", () => {
  const files = {
    "/proc/self/cgroup": "0::/kubepods/pod1/app\n",
    "/sys/fs/cgroup/kubepods/pod1/app/cpu.max": "max 100000",
    "/sys/fs/cgroup/kubepods/pod1/cpu.max": "300000 100000",
    "/sys/fs/cgroup/cpu.max": "400000 100000",
  };
  expect(withFiles(files)).toBe(3);
});

test("version 1 has the quota and its period in two files", () => {
  const folder = "/sys/fs/cgroup/cpu/docker/1";
  const files = {
    "/proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n",
    [`${folder}/cpu.cfs_quota_us`]: "400000\n",
    [`${folder}/cpu.cfs_period_us`]: "100000\n",
  };
  expect(withFiles(files)).toBe(4);
  expect(withFiles({ ...files, [`${folder}/cpu.cfs_quota_us`]: "-1\n" })).toBe(16);
});
