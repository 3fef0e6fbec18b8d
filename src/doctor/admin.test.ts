import { expect, test } from "bun:test";
import { chmod } from "node:fs/promises";
import { makeCertificate } from "../../test/harness/services/certificates.ts";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { adminFindings } from "./admin.ts";

test("the admin port needs TLS where others reach it, and a key that nobody else reads", async () => {
  await using dir = await tempDir("doctor");
  const made = await makeCertificate(dir);
  await chmod(made.keyFile, 0o644);
  const [open, local] = [
    { host: "0.0.0.0", port: 5001 },
    { host: "127.0.0.1", port: 5001 },
  ];
  const levels = (...settings: Parameters<typeof adminFindings>) =>
    adminFindings(...settings).map(({ state, found }) => `${state}: ${found}`);
  expect([
    levels({ admin: local }),
    levels({ admin: open }),
    levels({ admin: open, adminTls: made }),
    levels({ admin: open, adminTls: made }, Date.now() + 1e12),
  ]).toEqual([
    [],
    ["note: plain HTTP: whoever reads the network between you and the cache has its tokens"],
    ["note: valid for 0 days", "problem: every user can read its private key"],
    [
      expect.stringMatching(/^problem: expired on /),
      "problem: every user can read its private key",
    ],
  ]);
});
