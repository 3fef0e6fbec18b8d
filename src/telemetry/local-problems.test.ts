import { expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { createLog } from "./log.ts";
import { LocalProblems } from "./local-problems.ts";

test("a problem is logged when it begins and when it is over or is said to be, and shown as it was last noticed", async () => {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const problems = new LocalProblems(createLog({ format: "json", level: "info", stream }), {
    overAfter: 1,
  });
  problems.notice("slow-disk", "a sync took 2 s");
  problems.notice("slow-disk", "a sync took 3 s");
  expect(problems.current).toEqual([{ kind: "slow-disk", text: "a sync took 3 s" }]);
  expect([problems.isNow("slow-disk"), problems.isNow("memory")]).toEqual([true, false]);
  problems.notice("drill", "a drill", { stays: true });
  await until(() => !problems.isNow("slow-disk"), { what: "the end of the problem" });
  expect(problems.current).toEqual([{ kind: "drill", text: "a drill" }]);
  problems.over("drill");
  problems.over("drill");
  expect(problems.current).toEqual([]);
  expect(problems.count("slow-disk")).toBe(2);
  expect(lines).toEqual([
    expect.stringContaining('"problem":"slow-disk","msg":"a sync took 2 s"'),
    expect.stringContaining('"problem":"drill","msg":"a drill"'),
    expect.stringContaining('"problem":"slow-disk","msg":"a problem of this machine is over"'),
    expect.stringContaining('"problem":"drill","msg":"a problem of this machine is over"'),
  ]);
});

test("a problem that was not noticed for a while says when it was", async () => {
  const log = createLog({ format: "json", level: "error", stream: { write: () => {} } });
  const problems = new LocalProblems(log, { recent: 20 });
  problems.notice("slow-disk", "a sync took 2 s");
  expect(problems.current).toEqual([{ kind: "slow-disk", text: "a sync took 2 s" }]);
  const isOld = (): boolean => problems.current.some(({ text }) => text.endsWith(" ago)"));
  await until(isOld, { what: "the problem to be old" });
  expect(problems.isNow("slow-disk")).toBe(true);
});
