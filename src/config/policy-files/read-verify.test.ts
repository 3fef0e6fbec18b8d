import { expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { configErrorOf, filesOf } from "../configtest/load-text.ts";
import { loadSettings } from "../load.ts";
import type { VerifyRule } from "../policies/policy-settings.ts";

const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" });
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
const PUBLIC = pem(EC.publicKey);
const OTHER = pem(generateKeyPairSync("ed25519").publicKey);
const DER = EC.publicKey.export({ type: "spki", format: "der" }).toString("base64");
const LOG = { baseUrl: "https://log.test", publicKey: { rawBytes: DER } };

const FILES = {
  "/etc/cosign.pub": PUBLIC,
  "/etc/two.pub": PUBLIC + OTHER,
  "/etc/private.pem": EC.privateKey.export({ type: "pkcs8", format: "pem" }),
  "/etc/cosign.key":
    "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJ9\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
  "/etc/cert.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
  "/etc/broken.pub": "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n",
  "/etc/short.pub": pem(generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey),
  "/etc/x25519.pub": pem(generateKeyPairSync("x25519").publicKey),
  "/etc/curve.pub": pem(generateKeyPairSync("ec", { namedCurve: "P-224" }).publicKey),
  "/etc/text.pub": "hello",
  "/etc/log.json": JSON.stringify({ tlogs: [LOG] }),
  "/etc/empty.json": "{}",
  "/etc/list.json": "[]",
  "/etc/bad-key.json": JSON.stringify({ tlogs: [{ publicKey: { rawBytes: "AAAA" } }] }),
  "/etc/bad-ca.json": JSON.stringify({
    tlogs: [LOG],
    certificateAuthorities: [{ certChain: { certificates: [{ rawBytes: "AAAA" }] } }],
  }),
};

function load(verify: string, files: Record<string, string> = {}): VerifyRule | undefined {
  const yaml = `policies:\n  - match: docker.io/**\n    verify: ${verify}\n`;
  const settings = loadSettings({
    flags: { config: "/etc/e.yaml" },
    readFile: filesOf({ ...FILES, ...files, "/etc/e.yaml": yaml }),
  });
  return settings.policies?.[0]?.verify;
}

const IDENTITY = "{ issuer: 'https://ci.test', subject: 'https://ci.test/acme/*' }";
const GITHUB = `keyless: [${IDENTITY}]`;

test("a rule has the keys of its files, and what it says besides", () => {
  const rule = load(
    "{ mode: enforce, keys: [cosign.pub, two.pub], attestations: [https://slsa.dev/provenance/v1], trustRoot: log.json, repository: named }",
  );
  expect(rule).toEqual({
    mode: "enforce",
    keys: [
      { pem: PUBLIC.trim(), source: "/etc/cosign.pub" },
      { pem: PUBLIC.trim(), source: "/etc/two.pub" },
      { pem: OTHER.trim(), source: "/etc/two.pub" },
    ],
    keyless: [],
    attestations: ["https://slsa.dev/provenance/v1"],
    signature: true,
    repository: "named",
    trustRoot: { file: "/etc/log.json", json: FILES["/etc/log.json"] },
    transparencyLog: true,
    revision: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
});

test("its revision changes with what is asked for, and not with the mode", () => {
  const asked = `keys: [cosign.pub], ${GITHUB}`;
  const first = load(`{ mode: observe, ${asked} }`)?.revision;
  expect(load(`{ mode: enforce, ${asked} }`)?.revision).toBe(first ?? "");
  const others = [
    load(`{ mode: observe, ${asked} }`, { "/etc/cosign.pub": OTHER }),
    load(`{ mode: observe, keys: [cosign.pub] }`),
    load(`{ mode: observe, ${asked}, transparencyLog: true, repository: named }`),
    load(`{ mode: observe, ${asked}, attestations: [a] }`),
    load(`{ mode: observe, keys: [cosign.pub], transparencyLog: false }`),
    load(`{ mode: observe, keys: [cosign.pub], trustRoot: log.json }`),
  ].map((rule) => rule?.revision);
  expect(new Set([first, ...others]).size).toBe(7);
});

test("off needs no keys, and a key may be written into the file", () => {
  expect(load("{ mode: off }")?.keys).toEqual([]);
  const inline = PUBLIC.replaceAll("\n", "\\n");
  expect(load(`{ mode: enforce, keys: ["${inline}"] }`)?.keys[0]?.pem).toBe(PUBLIC.trim());
});

test.each([
  ["{}", "3:13: policies[0].verify.mode"],
  ["{ mode: enforce }", "3:13: policies[0].verify: names nobody whose signatures count"],
  ["{ mode: observe }", "names nobody whose signatures count: add keys or keyless"],
  ["{ mode: enforce, keys: [none.pub] }", "/etc/none.pub does not exist"],
  ["{ mode: enforce, keys: [text.pub] }", "/etc/text.pub contains no public key in PEM format"],
  ["{ mode: enforce, keys: [private.pem] }", "/etc/private.pem contains a private key"],
  ["{ mode: enforce, keys: [cosign.key] }", "/etc/cosign.key contains a private key"],
  ["{ mode: enforce, keys: [cert.pem] }", "/etc/cert.pem contains a certificate: write its"],
  ["{ mode: enforce, keys: [broken.pub] }", "/etc/broken.pub contains no public key that can be"],
  ["{ mode: enforce, keys: [short.pub] }", "contains an RSA key of 1024 bits: use 2048 or more"],
  ["{ mode: enforce, keys: [x25519.pub] }", "contains a key of the type x25519: use ECDSA"],
  ["{ mode: enforce, keys: [curve.pub] }", "contains a key on the curve secp224r1: use P-256"],
  [
    "{ mode: enforce, keyless: [{ issuer: 'https://ci.test', subject: '*' }] }",
    "matches everybody: write the part that is the same for all of yours",
  ],
  ["{ mode: enforce, keys: [cosign.pub], signature: false }", "leaves nothing to ask for"],
  [
    "{ mode: enforce, keys: [cosign.pub], transparencyLog: false, trustRoot: log.json }",
    "is of no use for keys without a transparency log: omit it",
  ],
  [`{ mode: enforce, ${GITHUB}, transparencyLog: false }`, "needs trustRoot with keyless"],
  [
    `{ mode: enforce, ${GITHUB}, transparencyLog: false, trustRoot: empty.json }`,
    "/etc/empty.json has no certificate authority",
  ],
  ["{ mode: enforce, keys: [cosign.pub], trustRoot: none.json }", "/etc/none.json does not exist"],
  ["{ mode: enforce, keys: [cosign.pub], trustRoot: text.pub }", "/etc/text.pub is not JSON"],
  ["{ mode: enforce, keys: [cosign.pub], trustRoot: list.json }", "is no trusted_root.json"],
  ["{ mode: enforce, keys: [cosign.pub], trustRoot: empty.json }", "has no transparency log"],
  [
    "{ mode: enforce, keys: [cosign.pub], trustRoot: bad-key.json }",
    "tlogs.0.publicKey.rawBytes is no public key",
  ],
  [
    `{ mode: enforce, ${GITHUB}, trustRoot: bad-ca.json }`,
    "certificateAuthorities.0.certChain.certificates.0.rawBytes is no certificate",
  ],
  [`{ mode: enforce, ${GITHUB}, trustRoot: log.json }`, "has no certificate authority"],
])("%s is refused", (verify, message) => {
  expect(configErrorOf(() => load(verify))).toContain(message);
});
