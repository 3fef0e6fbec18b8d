import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { run } from "../../test/harness/processes.ts";
import { realTest } from "../../test/harness/real-components.ts";
import { ioThreads } from "./thread-limit.ts";

test.each([
  { count: undefined, processors: 64, expected: 32 },
  { count: 512, processors: 64, expected: 32 },
  { count: 30, processors: 2, expected: 16 },
  { count: 16, processors: 2, expected: 2 },
  { count: 15, processors: 2, expected: undefined },
  { count: 21, processors: 64, expected: undefined },
])("$count processes on $processors processors: $expected threads", (given) => {
  const { count, processors, expected } = given;
  const limit = count === undefined ? undefined : { count, taken: 0, setting: "a limit" };
  expect(ioThreads(limit, processors)).toBe(expected);
});

realTest("below a limit of 10 processes, the start says what to raise", async () => {
  const program = fileURLToPath(new URL("../../bin/entrepot", import.meta.url));
  const user = ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups"];
  const started = await run([...user, "prlimit", "--nproc=10", program, "serve"]);
  expect([started.code, started.stdout, started.stderr]).toEqual([
    1,
    "",
    expect.stringMatching(
      /^entrepot: only 10 processes and threads are allowed here, and at least \d+ are needed \(64 are good\): raise the limit of the user \(ulimit -u; LimitNPROC= of a systemd unit\)\n$/,
    ),
  ]);
});
