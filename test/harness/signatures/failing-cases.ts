import { expect, test } from "bun:test";
import type { VerifyEntry } from "../../../src/config/policies/verify-schema.ts";
import { newKeys } from "./certificate-maker.ts";
import {
  craftBundle,
  type CraftedBundle,
  type CraftedEntry,
  type CraftedSimpleSigning,
  type CraftOptions,
  craftSimpleSigning,
  simplePayload,
  type StatementOptions,
  statementOf,
} from "./crafted-bundle.ts";
import { IDENTITY, publicPem, ruleOf } from "./rules.ts";
import { SignedRegistry, verifyingCache } from "./signed-registry.ts";
import { SigstoreServices } from "./sigstore-services.ts";

export const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
export const ENVELOPE = "application/vnd.dsse.envelope.v1+json";
export const PROVENANCE = "https://slsa.dev/provenance/v1";
export const OTHER_DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
export const HOUR_MS = 3_600_000;
/** Those of the rule `BY_KEY`, and others. */
export const KEYS = newKeys();
export const OTHER_KEYS = newKeys();

/** What is attached to an image, which must not count. */
export interface FailingCase {
  readonly is: string;
  readonly attach: (world: FailingWorld) => void;
  /** By default, `BY_IDENTITY`. */
  readonly rule?: Partial<VerifyEntry>;
  /** A part of the reason that is told. */
  readonly because: string;
}

export interface FailingWorld {
  readonly services: SigstoreServices;
  readonly registry: SignedRegistry;
  /** A bundle for the image; by an identity, unless keys are given. */
  readonly bundle: (options?: CraftOptions, statement?: StatementOptions) => CraftedBundle;
  /** An old signature, by `KEYS`. */
  readonly simple: (options?: CraftOptions, payload?: object) => CraftedSimpleSigning;
}

export const BY_KEY: Partial<VerifyEntry> = { keys: [publicPem(KEYS.publicKey)] };
export const BY_IDENTITY: Partial<VerifyEntry> = { keyless: [IDENTITY] };

/** Changes the only log entry of a bundle. */
export function withEntry(
  bundle: CraftedBundle,
  change: (entry: CraftedEntry) => void,
): CraftedBundle {
  const [entry] = bundle.verificationMaterial.tlogEntries;
  if (!entry) throw new Error("the bundle has no log entry");
  change(entry);
  return bundle;
}

/** Flips a bit in the middle of base64. */
export function flipped(base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  return bytes.toString("base64");
}

export function proofOf(entry: CraftedEntry): NonNullable<CraftedEntry["inclusionProof"]> {
  if (!entry.inclusionProof) throw new Error("the log entry has no proof");
  return entry.inclusionProof;
}

/** Each case fails, for its own reason, and is recorded so. */
export function expectFailures(cases: readonly FailingCase[]): void {
  test.each(cases.map((one) => [one.is, one] as const))("%s fails", async (_, one) => {
    await using services = new SigstoreServices();
    using registry = new SignedRegistry();
    const { digest } = registry.image;
    one.attach({
      services,
      registry,
      bundle: (options, statement) =>
        craftBundle(services, statementOf(digest, statement), options),
      simple: (options, payload = simplePayload(digest, "reg.test/app")) =>
        craftSimpleSigning(services, payload, { keys: KEYS, ...options }),
    });
    await using cache = await verifyingCache(registry.url);
    const entry = one.rule ?? BY_IDENTITY;
    const usesRoot = entry.transparencyLog !== false;
    const rule = ruleOf(usesRoot ? { ...entry, trustRoot: "/root.json" } : entry, {
      "/root.json": JSON.stringify(services.trustRoot()),
    });
    const record = await cache.verify(digest, rule);
    expect(record).toMatchObject({ outcome: "failed" });
    expect(record?.detail).toContain(one.because);
    expect(record?.detail.length).toBeLessThan(1500);
    expect(await cache.metadata.verifications.failed([rule.revision], 10)).toMatchObject([
      { digest, outcome: "failed" },
    ]);
  });
}
