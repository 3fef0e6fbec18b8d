import { expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { createLog } from "../telemetry/log.ts";
import { CLUSTER_PROBLEM_KINDS, clusterProblem, ClusterProblems } from "./cluster-problems.ts";

const MEMBER = "http://10.0.0.8:5002";

function started(options?: { overAfter: number }) {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const log = createLog({ format: "json", level: "info", stream });
  return { lines, problems: new ClusterProblems(log, options) };
}

test("a problem says what was met, what that means and what to do, and is logged once", () => {
  const { lines, problems } = started();
  problems.notice("wrong-secret", MEMBER, "401");
  problems.notice("wrong-secret", MEMBER, "401");
  expect(problems.current.map(({ text }) => text)).toEqual([
    "http://10.0.0.8:5002 refuses this replica's signature (401): what it has is downloaded from the registries again. Give all replicas the same cluster.secretFile, and set their clocks",
  ]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('"problem":"wrong-secret http://10.0.0.8:5002"');
});

test("the same problem of two members is two, and ends with whichever works again", () => {
  const { lines, problems } = started();
  problems.notice("silent-member", MEMBER, "ECONNREFUSED");
  problems.notice("silent-member", "http://10.0.0.9:5002", "no answer within 1 s");
  problems.over("silent-member", MEMBER);
  problems.over("silent-member", MEMBER);
  expect(problems.current.map(({ subject }) => subject)).toEqual(["http://10.0.0.9:5002"]);
  expect(lines).toHaveLength(3);
});

test("however many addresses are met, the memory for their problems is bounded", () => {
  const { problems } = started();
  for (let at = 0; at < 5000; at += 1) problems.notice("foreign-member", `http://h${at}`, "404");
  expect(problems.current).toHaveLength(1024);
});

test("what has happened is over after a while, a state when it ends", async () => {
  const { problems } = started({ overAfter: 1 });
  problems.notice("store-away", "s3.test", "ECONNREFUSED");
  problems.notice("store-corrupt", "s3.test", "another digest");
  await until(() => problems.current.length === 1, { what: "the end of what has happened" });
  expect(problems.current.map(({ kind }) => kind)).toEqual(["store-away"]);
  problems.over("store-away", "s3.test");
  expect(problems.current).toEqual([]);
});

test("what others answer stays on its line, is not endless and is said once", () => {
  const found = (detail: string): string => clusterProblem("store-away", "s3.test", detail).found;
  expect(found("it does not answer")).toBe("s3.test does not answer");
  expect(found("a\nProblems:\u001b[2J")).toBe(
    "s3.test does not answer (a\\u000aProblems:\\u001b[2J)",
  );
  expect(found("x".repeat(10_000)).length).toBeLessThan(400);
});

test("the documentation says of each problem what is said of it when it is met", async () => {
  const file = new URL("../../docs/how-to/troubleshoot.md", import.meta.url);
  const text = await Bun.file(file).text();
  for (const kind of CLUSTER_PROBLEM_KINDS) {
    const row = text.split("\n").find((line) => line.startsWith(`| \`${kind}\``)) ?? "";
    const [, , what, ...rest] = row.split("|").map((cell) => cell.trim());
    const { found, means, advice } = clusterProblem(kind, "it", "");
    const said = found.slice("it ".length).replace(/ \(\)$/, "");
    expect(what).toEndWith(said);
    expect(rest).toEqual([means, advice, ""]);
  }
});
