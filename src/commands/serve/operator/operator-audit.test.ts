import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { parseRepositoryName, parseTag, parseUpstreamName } from "../../../oci/names.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import { LocalProblems } from "../../../telemetry/local-problems.ts";
import { createLog } from "../../../telemetry/log.ts";
import { Metrics } from "../../../telemetry/metrics.ts";
import { OperatorAudit } from "./operator-audit.ts";

const [upstream, repository, reference] = [
  parseUpstreamName("docker.io"),
  parseRepositoryName("library/nginx"),
  parseTag("1"),
];
if (!upstream || !repository || !reference) throw new Error("a name is not valid");

const record: RequestRecord = {
  method: "GET",
  path: "/v2/library/nginx/manifests/1",
  address: "10.0.0.1",
  userAgent: "containerd/2.1.4",
  status: 200,
  bytes: 100,
  millisecondsToFirstByte: 1,
  milliseconds: 2,
  route: { kind: "manifest", repo: { upstream, repository }, reference },
  result: "hit",
};

test("a line has the pods of its node, and a change of the file closes the one before", async () => {
  await using dir = await tempDir("audit");
  const log = createLog({ format: "json", level: "silent" });
  const [localProblems, metrics] = [new LocalProblems(log), new Metrics()];
  const to = (name: string) => ({ audit: { file: dir.file(name), maxSize: 1e6, keep: 1 } });
  await using audit = new OperatorAudit(to("first"), { log, metrics, localProblems });
  audit.request(record, 1000);
  audit.knowPods((address, image) =>
    address === "10.0.0.1" && image === "docker.io/library/nginx:1" ? ["shop/web-1"] : [],
  );
  audit.configure(to("second"));
  audit.request({ ...record, address: "10.0.0.2" }, 2000);
  audit.configure({});
  // Nothing is recorded any more.
  audit.request(record, 3000);
  await audit[Symbol.asyncDispose]();
  const lines = async (name: string) =>
    (await readFile(dir.file(name), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  const [[first, ...none], [second, ...more]] = [await lines("first"), await lines("second")];
  expect([first.client, first.pods, none]).toEqual(["10.0.0.1", ["shop/web-1"], []]);
  expect([second.client, second.pods, more]).toEqual(["10.0.0.2", undefined, []]);
  expect(await metrics.render()).toContain('entrepot_audit_lines_total{result="made"} 2');
});
