import { expect, test } from "bun:test";
import { nodeReportSchema } from "./nodes.ts";

test.each([
  ["10.0.0.1", true],
  ["2001:db8::1", true],
  ["fe80::1%eth0", true],
  ["10.0.0.1:5000", false],
  ["10.0.0.256", false],
  ["fe80::1%$(id)", false],
  ["worker-1", false],
  ["10.0.0.1\n", false],
  ["", false],
])("the address %j of a node is accepted: %p", (address, isAccepted) => {
  const report = { address, state: "wired", runtimes: ["containerd"] };
  expect(nodeReportSchema.safeParse(report).success).toBe(isAccepted);
});
