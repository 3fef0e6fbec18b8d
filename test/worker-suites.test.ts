import { expect, test } from "bun:test";
import { run } from "./harness/processes.ts";

const isLong = process.env["ENTREPOT_LONG"] === "1";

/** Whatever depends on who accepts a connection, and sends what. */
const SUITES = [
  "access-changes",
  "access-upstream",
  "ending",
  "failing-blobs",
  "freshness",
  "full-disk",
  "head-and-get",
  "odd-encodings",
  "own-addresses",
  "path-prefix",
  "policy",
  "process-lifecycle",
  "protocol",
  "pull",
  "regressions",
  "reload",
  "repository-access",
  "response-cache",
  "resume",
  "rude-traffic",
  "sent-bytes",
  "several-ranges",
  "socket-activation",
  "status",
  "store-quotas",
  "thundering-herd",
  "tls",
  "tls-pull",
  "unread-ranges",
  "vanishing-folders",
];

test.skipIf(!isLong).each([2, 3])(
  "what concerns connections and responses passes with %i workers",
  async (workers) => {
    const files = SUITES.map((name) => `test/${name}.test.ts`);
    const { code, stdout, stderr } = await run(
      [process.execPath, "test", "--timeout=60000", ...files],
      { env: { ENTREPOT_WORKERS: String(workers), ENTREPOT_LONG: "" } },
    );
    if (code !== 0) throw new Error(`${stdout}${stderr}`);
    expect(stderr).toContain(" 0 fail");
  },
  3_600_000,
);
