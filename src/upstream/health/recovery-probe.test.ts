import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { until } from "../../../test/harness/waiting.ts";
import { RecoveryProbe } from "./recovery-probe.ts";

function setUp() {
  const state = { isUseful: true, probes: 0, underWay: 0, isDown: true };
  const subject = new RecoveryProbe({
    isUseful: () => state.isUseful,
    async probe() {
      state.probes += 1;
      state.underWay += 1;
      expect(state.underWay).toBe(1);
      await setImmediate();
      state.underWay -= 1;
      if (state.isDown) throw new Error("refused");
      state.isUseful = false;
    },
  });
  return { state, subject };
}

test("a host is probed one probe at a time until it answers", async () => {
  const { state, subject } = setUp();
  for (let i = 0; i < 50; i += 1) subject.wanted();
  await until(() => state.probes > 1, { what: "a second probe" });
  state.isDown = false;
  await until(() => !state.isUseful, { what: "the recovery to be seen" });
});

test("the verdict is that of the first probe, once per outage", async () => {
  const { state, subject } = setUp();
  expect(subject.verdict).toBeUndefined();
  subject.wanted();
  await subject.verdict;
  expect([state.probes, subject.verdict]).toEqual([1, undefined]);
  subject.wanted();
  expect(subject.verdict).toBeUndefined();
  state.isDown = false;
  await until(() => !state.isUseful, { what: "the recovery to be seen" });
  state.isUseful = true;
  await until(() => (subject.wanted(), subject.verdict !== undefined), {
    what: "the next outage's probe",
  });
});

test("a host that nobody can be helped with is not probed", async () => {
  const { state, subject } = setUp();
  state.isUseful = false;
  subject.wanted();
  await subject.verdict;
  expect(state.probes).toBe(0);
});
