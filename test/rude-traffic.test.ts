import { expect } from "bun:test";
import { fileURLToPath } from "node:url";
import { MemoryCgroup, memoryLimitTest } from "./harness/faults/memory-cgroup.ts";
import { runRudeTraffic } from "./harness/faults/rude-traffic.ts";

/** A minute for each limit: only in `npm run test:long`. `npm run soak:rude` takes 25 of them. */
const isLong = process.env["ENTREPOT_LONG"] === "1";
const SECONDS = isLong ? 60 : 3;

const MIB = 1024 * 1024;
const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

const LIMITS = [
  { limit: 128, tls: true },
  { limit: 96, tls: false },
  { limit: 192, tls: false },
] as const;

for (const { limit, tls } of isLong ? LIMITS : LIMITS.slice(0, 1)) {
  memoryLimitTest(
    `with ${limit} MiB, a cache survives rude upstreams${tls ? " and TLS" : ""}, and every body is right`,
    async () => {
      await using cgroup = new MemoryCgroup(limit * MIB);
      const program = cgroup.command(PROGRAM);
      const { tally, corrupt } = await runRudeTraffic({ seconds: SECONDS, program, tls });
      expect([tally.wrong, corrupt, cgroup.kills]).toEqual([0, 0, 0]);
      expect(tally.statuses.get(200) ?? 0).toBeGreaterThan(SECONDS);
    },
    180_000,
  );
}
