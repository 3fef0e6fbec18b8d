import { expect, test } from "bun:test";
import { Writable } from "node:stream";
import { ByteBudget } from "../../process/byte-budget.ts";
import { memoryPlan } from "../../process/memory-plan.ts";
import { createLog } from "../../telemetry/log.ts";
import { openDownloadThread } from "./cache-parts.ts";

const MIB = 1024 * 1024;

test.each([
  ["enough of everything", 192, false, 2, true],
  ["little memory", 191, false, 2, false],
  ["few file descriptors", 192, true, 2, false],
  ["few threads", 192, false, 1, false],
])("with %s, a thread receives blobs or not", (_, limit, areFew, threads, isThere) => {
  const thread = openDownloadThread({
    memory: memoryPlan(limit * MIB),
    descriptors: { areFew },
    threads,
    budget: new ByteBudget(MIB),
    log: createLog({ format: "json", level: "silent", stream: new Writable() }),
  });
  expect(thread !== undefined).toBe(isThere);
});
