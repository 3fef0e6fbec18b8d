import { expect, test } from "bun:test";
import { makeCertificate } from "../../test/harness/services/certificates.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { createLog } from "../telemetry/log.ts";
import { CertificateWatch } from "./certificate-watch.ts";
import { ClusterProblems } from "./cluster-problems.ts";

const DAY_MS = 86_400_000;

test("a certificate that has expired is a problem until it is looked at in its time", async () => {
  await using dir = await tempDir("certificate-watch");
  const { certificate } = await makeCertificate(dir);
  const log = createLog({ format: "json", level: "error", stream: { write: () => {} } });
  const problems = new ClusterProblems(log);
  let now = Date.now() + 3 * DAY_MS;
  using watch = new CertificateWatch(certificate, { problems, now: () => now });
  const found = (): string[] => problems.current.map((problem) => problem.found);
  expect(found()).toEqual([
    expect.stringMatching(/^cluster\.tls\.certificate is not valid now \(expired on .*\)$/),
  ]);
  now = Date.now() + 1000;
  watch.look();
  expect(found()).toEqual([]);
  now = Date.now() - DAY_MS;
  watch.look();
  expect(found()).toEqual([expect.stringContaining("(not valid before ")]);
});
