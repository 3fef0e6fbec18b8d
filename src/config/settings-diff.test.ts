import { expect, test } from "bun:test";
import { rootCertificates } from "node:tls";
import { diffSettings } from "./settings-diff.ts";
import { filesOf } from "./configtest/load-text.ts";
import { loadSettings } from "./load.ts";

test("a changed CA of a mirror is reported by its fingerprint, not as PEM text", () => {
  const [one = "", two = ""] = rootCertificates;
  const loaded = (ca: string) =>
    loadSettings({
      flags: { config: "/e" },
      readFile: filesOf({
        "/e": "upstreams: { a.io: { mirrors: [{ url: https://m.io, ca: ca.pem }] } }\n",
        "/ca.pem": ca,
      }),
    });
  const { immediate } = diffSettings(loaded(one), loaded(two));
  expect(immediate).toHaveLength(1);
  expect(immediate[0]).toMatch(/^upstreams\.a\.io\.mirrors: .*"ca":"sha256:[0-9a-f]{12}".* → .*$/);
  expect(immediate[0]).not.toContain("BEGIN CERTIFICATE");
});
