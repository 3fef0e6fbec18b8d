import { expect, test } from "bun:test";
import { limitFindings } from "./limits.ts";

const limits = (soft: number): string =>
  `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${soft}                 65536                files\n`;
const OWN = { "/proc/self/limits": limits(20_000) };

const cases: [name: string, files: Record<string, string>, state: string, found: string][] = [
  ["no cache runs", OWN, "ok", "20000 (hard limit 65536) in this session"],
  [
    "a running cache with a low limit",
    {
      ...OWN,
      "/data/lock.pid": "71\n",
      "/proc/71/cmdline": "/usr/local/bin/entrepot\0serve\0--config\0c\0",
      "/proc/71/limits": limits(1_024),
    },
    "note",
    "1024 (hard limit 65536) for the cache, process 71",
  ],
  [
    "a killed cache's process ID that another program has now",
    {
      ...OWN,
      "/data/lock.pid": "71\n",
      "/proc/71/cmdline": "/usr/sbin/sshd\0-D\0",
      "/proc/71/limits": limits(1_024),
    },
    "ok",
    "20000 (hard limit 65536) in this session",
  ],
];

test.each(cases)("limit on open files: %s", (_, files, state, found) => {
  const machine = {
    link: () => undefined,
    read: (path: string) => files[path],
    list: () => [],
    run: () => undefined,
  };
  expect(limitFindings("/data", machine)).toMatchObject([{ state, found }]);
});
