import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { DescriptorBudget } from "../../process/file-descriptors.ts";
import { createLog } from "../../telemetry/log.ts";
import { LocalProblems } from "../../telemetry/local-problems.ts";
import { LimitsWatch } from "./limits-watch.ts";

const stream = { write: () => undefined };
const log = createLog({ format: "json", level: "info", stream });

test("memory near its limit is a problem, with its figures", async () => {
  const localProblems = new LocalProblems(log);
  const descriptors = new DescriptorBudget(1000, () => 100);
  using _ = new LimitsWatch({ localProblems, descriptors, memoryLimit: 1024, interval: 1 });
  await until(() => localProblems.isNow("memory"), { what: "the problem" });
  expect(localProblems.current).toEqual([
    {
      kind: "memory",
      text: expect.stringMatching(
        /^memory is nearly used up: the cache takes [\d.]+ MiB of 1 KiB\. Raise the limit/,
      ),
    },
  ]);
});
