import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import type { VerifyRule } from "../policies/policy-settings.ts";
import { givenVerify, readGivenVerify } from "./read-given-verify.ts";

const pem = (): string => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return publicKey.export({ type: "spki", format: "pem" }).trim();
};
const identity = { issuer: "https://ci.test", subject: "https://ci.test/acme/*" };

function read(given: Parameters<typeof readGivenVerify>[0]): VerifyRule {
  const rule = readGivenVerify(given);
  if (typeof rule === "string") throw new Error(rule);
  return rule;
}

test.each([
  ["keys", { mode: "enforce", keys: [pem(), pem()], transparencyLog: false }],
  ["identities", { mode: "observe", keyless: [identity], repository: "named" }],
  [
    "attestations alone",
    {
      mode: "enforce",
      keys: [pem()],
      attestations: ["https://slsa.dev/provenance/v1"],
      signature: false,
    },
  ],
  ["nothing", { mode: "off" }],
])("a rule that asks for %s is the same one after it was given as text", (_, entry) => {
  const rule = read(entry);
  expect(read(givenVerify(rule))).toEqual(rule);
});

test.each([
  [{ mode: "enforce" }, "verify: names nobody whose signatures count: add keys or keyless"],
  [
    { mode: "enforce", keys: ["/etc/passwd"] },
    "verify.keys.0: /etc/passwd is no PEM text (-----BEGIN PUBLIC KEY-----)",
  ],
  [
    { mode: "enforce", keyless: [identity], trustRoot: "{" },
    "verify.trustRoot: /trustRoot is not JSON: write a trusted_root.json (cosign trusted-root create)",
  ],
  [{ mode: "enforce", keyless: [{ ...identity, subject: "*" }] }, /^verify\.keyless\.0\.subject: /],
])("what is wrong with %j is told, and no file is read", (entry, problem) => {
  const told = readGivenVerify(entry);
  if (problem instanceof RegExp) expect(told).toMatch(problem);
  else expect(told).toBe(problem);
});
