import { expect, test } from "bun:test";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import type { VerifyEntry } from "../src/config/policies/verify-schema.ts";
import type { VerificationRecord } from "../src/store/verification-store.ts";
import { type KeyPair, newKeys } from "./harness/signatures/certificate-maker.ts";
import {
  BUNDLE_TYPE,
  craftBundle,
  craftSimpleSigning,
  ISSUER,
  simplePayload,
  statementOf,
  SUBJECT,
} from "./harness/signatures/crafted-bundle.ts";
import { IDENTITY, publicPem, ruleOf } from "./harness/signatures/rules.ts";
import { SignedRegistry, verifyingCache } from "./harness/signatures/signed-registry.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";

const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
const PROVENANCE = "https://slsa.dev/provenance/v1";
const DAY_MS = 86_400_000;
const KEYS = newKeys();

interface World {
  readonly services: SigstoreServices;
  readonly registry: SignedRegistry;
}

async function verdict(
  entry: Partial<VerifyEntry>,
  attach: (world: World) => void,
): Promise<VerificationRecord | undefined> {
  await using services = new SigstoreServices();
  using registry = new SignedRegistry();
  attach({ services, registry });
  await using cache = await verifyingCache(registry.url);
  const root = { "/root.json": JSON.stringify(services.trustRoot()) };
  return await cache.verify(registry.image.digest, ruleOf(entry, root));
}

const PAIRS: readonly [name: string, keys: KeyPair, hash: string | undefined][] = [
  ["P-256", KEYS, "sha256"],
  ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }), "sha384"],
  ["P-384 with SHA-256", generateKeyPairSync("ec", { namedCurve: "P-384" }), "sha256"],
  ["P-521", generateKeyPairSync("ec", { namedCurve: "P-521" }), "sha512"],
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }), "sha256"],
  ["Ed25519", generateKeyPairSync("ed25519"), undefined],
];

test.each(PAIRS)("a key counts in both forms: %s", async (_, keys, hash) => {
  const options = { keys, hash };
  const entry = { keys: [publicPem(keys.publicKey)], trustRoot: "/root.json" };
  const asBundle = await verdict(entry, ({ services, registry }) => {
    registry.attachBundle(craftBundle(services, statementOf(registry.image.digest), options));
  });
  const asLayer = await verdict(entry, ({ services, registry }) => {
    const payload = simplePayload(registry.image.digest, "reg.test/app");
    registry.attachLayers("sig", SIMPLE, [craftSimpleSigning(services, payload, options)]);
  });
  expect([asBundle, asLayer]).toMatchObject([{ outcome: "passed" }, { outcome: "passed" }]);
});

test("the second of two keys counts, and the second of two signatures", async () => {
  const entry = {
    keys: [publicPem(newKeys().publicKey), publicPem(KEYS.publicKey)],
    transparencyLog: false,
  };
  const record = await verdict(entry, ({ services, registry }) => {
    const payload = simplePayload(registry.image.digest, "reg.test/app");
    registry.attachLayers("sig", SIMPLE, [
      craftSimpleSigning(services, payload, { keys: newKeys(), log: "none" }),
      craftSimpleSigning(services, payload, { keys: KEYS, log: "none" }),
    ]);
  });
  expect(record?.outcome).toBe("passed");
});

test("a signature of the manifest itself counts", async () => {
  const entry = { keys: [publicPem(KEYS.publicKey)], transparencyLog: false };
  const bundleOf = (bytes: Uint8Array, signed = bytes): object => ({
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { publicKey: { hint: "" }, tlogEntries: [] },
    messageSignature: {
      messageDigest: {
        algorithm: "SHA2_256",
        digest: createHash("sha256").update(bytes).digest("base64"),
      },
      signature: sign("sha256", signed, KEYS.privateKey).toString("base64"),
    },
  });
  const right = await verdict(entry, ({ registry }) => {
    registry.attachBundle(bundleOf(registry.image.bytes));
  });
  expect(right?.outcome).toBe("passed");
  const wrong = await verdict(entry, ({ registry }) => {
    registry.attachBundle(bundleOf(registry.image.bytes, Buffer.from("{}")));
  });
  expect(wrong?.outcome).toBe("failed");
});

test("a certificate that has expired since counts at the time of the log, which is told", async () => {
  const at = Math.floor((Date.now() - 30 * DAY_MS) / 1000) * 1000;
  const record = await verdict(
    { keyless: [IDENTITY], trustRoot: "/root.json" },
    ({ services, registry }) => {
      const options = { from: new Date(at - 60_000), loggedAt: at };
      registry.attachBundle(craftBundle(services, statementOf(registry.image.digest), options));
    },
  );
  expect(record).toMatchObject({
    outcome: "passed",
    detail: `signed by ${SUBJECT} (${ISSUER})`,
    loggedAt: at,
  });
});

test("patterns of identities match the whole of it", async () => {
  const asked = (issuer: string, subject: string): Promise<string | undefined> =>
    verdict({ keyless: [{ issuer, subject }], trustRoot: "/root.json" }, (world) => {
      const { services, registry } = world;
      registry.attachBundle(craftBundle(services, statementOf(registry.image.digest)));
    }).then((record) => record?.outcome);
  expect(await asked(ISSUER, "https://ci.test/acme/*")).toBe("passed");
  expect(await asked("https://*.test", "*@refs/tags/v*")).toBe("passed");
  expect(await asked(ISSUER, "ci.test/acme/*")).toBe("failed");
  expect(await asked(ISSUER, "https://ci.test/acme")).toBe("failed");
});

test("attestations alone are enough where the rule says so", async () => {
  const entry = {
    keyless: [IDENTITY],
    trustRoot: "/root.json",
    attestations: [PROVENANCE],
    signature: false,
  };
  const record = await verdict(entry, ({ services, registry }) => {
    const options = { predicateType: PROVENANCE, name: "reg.test/app" };
    const statement = statementOf(registry.image.digest, options);
    registry.attachBundle(craftBundle(services, statement));
  });
  expect(record).toMatchObject({
    outcome: "passed",
    detail: `attestation ${PROVENANCE} by ${SUBJECT} (${ISSUER})`,
  });
});

test("names of packages and files are no repositories, and the name at the registry is one", async () => {
  const entry = { keyless: [IDENTITY], trustRoot: "/root.json" };
  for (const name of ["pkg:oci/app@sha256:00", "app.tar", "some/file"]) {
    const record = await verdict(entry, ({ services, registry }) => {
      const statement = statementOf(registry.image.digest, { name });
      registry.attachBundle(craftBundle(services, statement));
    });
    expect([name, record]).toMatchObject([name, { outcome: "passed" }]);
  }
  const named = await verdict({ ...entry, repository: "named" }, ({ services, registry }) => {
    const repository = `${new URL(registry.url).host}/app`;
    const statement = statementOf(registry.image.digest, { annotations: { repository } });
    registry.attachBundle(craftBundle(services, statement));
  });
  expect(named).toMatchObject({ outcome: "passed" });
});
