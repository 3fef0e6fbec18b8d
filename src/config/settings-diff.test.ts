import { expect, test } from "bun:test";
import { rootCertificates } from "node:tls";
import { changesBetween } from "./settings-diff.ts";
import { filesOf } from "./configtest/load-text.ts";
import { loadSettings } from "./load.ts";

test("a mirror's authority is told by its fingerprint, not in full", () => {
  const [one = "", two = ""] = rootCertificates;
  const loaded = (ca: string) =>
    loadSettings({
      flags: { config: "/e" },
      readFile: filesOf({
        "/e": "upstreams: { a.io: { mirrors: [{ url: https://m.io, ca: ca.pem }] } }\n",
        "/ca.pem": ca,
      }),
    });
  const { now } = changesBetween(loaded(one), loaded(two));
  expect(now).toHaveLength(1);
  expect(now[0]).toMatch(/^upstreams\.a\.io\.mirrors: .*"ca":"sha256:[0-9a-f]{12}".* → .*$/);
  expect(now[0]).not.toContain("BEGIN CERTIFICATE");
});
