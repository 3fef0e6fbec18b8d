import { expect, test } from "bun:test";
import {
  craftBundle,
  type CraftedBundle,
  type CraftOptions,
  ISSUER,
  statementOf,
  SUBJECT,
} from "./harness/signatures/crafted-bundle.ts";
import { IDENTITY, ruleOf } from "./harness/signatures/rules.ts";
import { SignedRegistry, verifyingCache } from "./harness/signatures/signed-registry.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";
import { TimestampAuthority } from "./harness/signatures/timestamp-authority.ts";

const HOUR_MS = 3_600_000;

/** Adds a timestamp of the signature, or of something else. */
async function stamped(
  bundle: CraftedBundle,
  authority: TimestampAuthority,
  of = bundle.dsseEnvelope.signatures[0]?.sig ?? "",
): Promise<CraftedBundle> {
  const signedTimestamp = await authority.stamp(of);
  bundle.verificationMaterial.timestampVerificationData = {
    rfc3161Timestamps: [{ signedTimestamp }],
  };
  return bundle;
}

test("without a log, a timestamp says when an identity has signed, and nothing else does", async () => {
  await using services = new SigstoreServices();
  await using authority = await TimestampAuthority.make();
  await using other = await TimestampAuthority.make();
  // As GitHub's own trust root is made: without logs of any kind.
  const { tlogs: _, ctlogs: __, ...root } = services.trustRoot();
  const json = JSON.stringify({ ...root, timestampAuthorities: [await authority.entry()] });
  const entry = { keyless: [IDENTITY], transparencyLog: false, trustRoot: "/root.json" };
  const rule = ruleOf(entry, { "/root.json": json });
  const asked = async (
    make: (bundle: (options?: CraftOptions) => CraftedBundle) => Promise<CraftedBundle>,
  ): Promise<string | undefined> => {
    using registry = new SignedRegistry();
    const { digest } = registry.image;
    const unlogged = { log: "none", certificateLog: "none" } as const;
    const bundle = (options: CraftOptions = {}): CraftedBundle =>
      craftBundle(services, statementOf(digest), { ...unlogged, ...options });
    registry.attachBundle(await make(bundle));
    await using cache = await verifyingCache(registry.url);
    const before = Math.floor(Date.now() / 1000) * 1000 - 60_000;
    const record = await cache.verify(digest, rule);
    if (record?.outcome === "passed") {
      expect(record.loggedAt).toBeWithin(before, Date.now() + 1);
    }
    return record?.detail;
  };

  expect(await asked((bundle) => stamped(bundle(), authority))).toBe(
    `signed by ${SUBJECT} (${ISSUER})`,
  );
  expect(await asked(async (bundle) => bundle())).toContain(
    "nobody vouches for its time: expected 1 timestamps, got 0",
  );
  // What a log says counts for nothing where none is believed.
  expect(await asked(async (bundle) => bundle({ log: services.log }))).toContain(
    "nobody vouches for its time: expected 1 timestamps, got 0",
  );
  expect(await asked((bundle) => stamped(bundle(), other))).toContain(
    "nobody vouches for its time: timestamp could not be verified",
  );
  expect(await asked((bundle) => stamped(bundle(), authority, "aGVsbG8="))).toContain(
    "nobody vouches for its time: timestamp could not be verified",
  );
  const from = new Date(Date.now() - HOUR_MS);
  expect(await asked((bundle) => stamped(bundle({ from }), authority))).toContain(
    "certificate is not valid or expired at the specified date",
  );
});
