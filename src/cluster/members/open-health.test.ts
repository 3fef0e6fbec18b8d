import { expect, test } from "bun:test";
import { createLog } from "../../telemetry/log.ts";
import { ClusterProblems } from "../cluster-problems.ts";
import type { Failure } from "./member-health.ts";
import type { Member } from "./members.ts";
import { openHealth } from "./open-health.ts";
import { Twins } from "./twins.ts";

const memberAt = (url: string): Member => ({ id: url, url: new URL(url) });
const [self, leaving, other] = ["http://a:1", "http://b:1", "http://c:1"].map(memberAt);

test("that one does not answer which has said goodbye is no problem, and that another does not is one", async () => {
  if (!self || !leaving || !other) throw new Error("there are three");
  const log = createLog({ format: "json", level: "silent", stream: { write: () => {} } });
  const problems = new ClusterProblems(log);
  using twins = new Twins(problems);
  const gone = new Set<string>();
  const failure: { kind: Failure["kind"] } = { kind: "silent-member" };
  using health = openHealth({
    ping: async () => ({ ...failure, reason: "nothing listens there" }),
    problems,
    twins,
    self: () => self,
    configuredSelf: () => self,
    instance: "own",
    own: () => ({ version: "0.1.0" }),
    hasGone: ({ id }) => gone.has(id),
  });
  const told = () => problems.current.map(({ kind, subject }) => `${kind} ${subject}`);
  gone.add(leaving.id);
  await Promise.all([leaving, other].map((member) => health.isAlive(member)));
  expect(health.isUp(leaving)).toBe(false);
  expect(told()).toEqual([`silent-member ${other.id}`]);
  // What answers wrongly is told of nevertheless.
  failure.kind = "wrong-secret";
  await health.isAlive(leaving);
  expect(told()).toContain(`wrong-secret ${leaving.id}`);
});
