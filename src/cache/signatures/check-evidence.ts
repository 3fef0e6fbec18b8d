import { createPublicKey } from "node:crypto";
import type { Bundle } from "@sigstore/bundle";
import type { SignedEntity, Signer, TrustMaterial } from "@sigstore/verify";
import type { KeylessIdentity, VerifyRule } from "../../config/policies/policy-settings.ts";
import { matchesWildcard } from "../../config/policies/wildcard.ts";
import type { Digest } from "../../oci/digest.ts";
import { checkSizes } from "./bundle-sizes.ts";
import { checkRepository, type Claim, simpleSigningClaim, statementClaim } from "./claims.ts";
import { encodeOnce } from "./encode-once.ts";
import type { Evidence } from "./evidence.ts";
import { flexibleSignature, preAuthEncoding } from "./flexible-signature.ts";
import { checkLoggedKey } from "./log-entry-key.ts";
import { RefusedEvidence } from "./refused-evidence.ts";
import type { Sigstore } from "./sigstore.ts";

/** A signature or attestation that counts. */
export interface Verified {
  /** Of an attestation; absent for a signature. */
  readonly predicateType?: string;
  /** Who signed it, for people. */
  readonly signer: string;
  /** By a log or a timestamp authority that was verified, in milliseconds of the epoch. */
  readonly loggedAt?: number;
}

export interface CheckContext {
  readonly sigstore: Sigstore;
  readonly rule: VerifyRule;
  /** Empty where the rule needs none. */
  readonly trust: TrustMaterial;
  readonly digest: Digest;
  /** The names under which the repository is known, as `ghcr.io/acme/app`. */
  readonly names: ReadonlySet<string>;
}

/** Of a certificate that may sign code (RFC 5280 section 4.2.1.12), in DER; the extension is 2.5.29.37. */
const CODE_SIGNING = Buffer.from("06082b06010505070303", "hex");
const EXTENDED_KEY_USAGE = "2.5.29.37";

/**
 * Checks that a signature is one that the rule wants: by its keys or identities, in the log, of this digest and
 * repository.
 *
 * @throws RefusedEvidence with the first thing that is wrong
 */
export function checkEvidence(evidence: Evidence, context: CheckContext): Verified {
  const { rule, digest, names } = context;
  const opened = open(evidence, context.sigstore);
  const { signer, entity } = verified(opened, context);
  const claim = claimOf(opened.bundle, evidence, digest);
  checkRepository(claim, names, rule.repository);
  const times = entity.timestamps.map((one) =>
    one.$case === "transparency-log"
      ? Number(one.tlogEntry.integratedTime) * 1000
      : one.timestamp.signingTime.getTime(),
  );
  const { predicateType } = claim;
  return {
    signer,
    ...(predicateType === undefined ? {} : { predicateType }),
    ...(times.length > 0 ? { loggedAt: Math.min(...times) } : {}),
  };
}

interface Opened {
  readonly bundle: Bundle;
  readonly entity: SignedEntity;
}

function open({ bundle: json, message }: Evidence, { bundle, verify }: Sigstore): Opened {
  return refusing("it is damaged", () => {
    const parsed = bundle.bundleFromJSON(json);
    checkSizes(parsed);
    const entity = verify.toSignedEntity(parsed, message);
    if (entity.key.$case === "certificate") encodeOnce(entity.key.certificate);
    const { content } = parsed;
    const signed =
      content.$case === "dsseEnvelope"
        ? preAuthEncoding(content.dsseEnvelope.payloadType, content.dsseEnvelope.payload)
        : message;
    const signature = flexibleSignature(entity.signature, signed);
    return { bundle: parsed, entity: { ...entity, signature } };
  });
}

/** What is signed says so itself: read only once the signature is verified. */
function claimOf({ content }: Bundle, { message, messageIs }: Evidence, digest: Digest): Claim {
  if (content.$case === "dsseEnvelope") {
    const { payloadType, payload } = content.dsseEnvelope;
    return statementClaim(payloadType, payload, digest);
  }
  if (messageIs === "text") return simpleSigningClaim(message, digest);
  // The manifest's digest is known to be right, and it names no repository.
  return { repositories: [] };
}

interface Accepted {
  readonly signer: string;
  /** With the timestamps and log entries that were verified, and no others. */
  readonly entity: SignedEntity;
}

function verified(opened: Opened, context: CheckContext): Accepted {
  const { keys, keyless } = context.rule;
  if (opened.entity.key.$case === "public-key") {
    if (keys.length > 0) return verifiedByKey(opened, context);
    throw new RefusedEvidence("it is by a key, and the rule wants an identity (keyless)");
  }
  if (keyless.length > 0) return verifiedByIdentity(opened, context);
  throw new RefusedEvidence("it is by an identity (keyless), and the rule wants a key");
}

function verifiedByKey({ entity }: Opened, context: CheckContext): Accepted {
  const { rule, trust, sigstore } = context;
  const found = rule.keys.find(({ pem }) => entity.signature.verifySignature(createPublicKey(pem)));
  if (!found) {
    throw new RefusedEvidence("it is by none of the keys, or what is signed was changed");
  }
  const key = createPublicKey(found.pem);
  const byKey: SignedEntity = {
    ...entity,
    tlogEntries: rule.transparencyLog ? entity.tlogEntries : [],
    timestamps: timestampsOf(entity, context),
  };
  const verifier = new sigstore.verify.Verifier(
    { ...trust, publicKey: () => ({ publicKey: key, validFor: () => true }) },
    { tlogThreshold: rule.transparencyLog ? 1 : 0, timestampThreshold: 0 },
  );
  check(() => verifier.verify(byKey));
  for (const { canonicalizedBody } of byKey.tlogEntries) checkLoggedKey(canonicalizedBody, key);
  return { signer: `the key ${found.source}`, entity: byKey };
}

function verifiedByIdentity({ entity }: Opened, context: CheckContext): Accepted {
  const { rule, trust, sigstore } = context;
  const byIdentity: SignedEntity = {
    ...entity,
    tlogEntries: rule.transparencyLog ? entity.tlogEntries : [],
    timestamps: timestampsOf(entity, context),
  };
  const verifier = new sigstore.verify.Verifier(trust, {
    tlogThreshold: rule.transparencyLog ? 1 : 0,
    timestampThreshold: 1,
    ctlogThreshold: trust.ctlogs.length > 0 ? 1 : 0,
  });
  const { key, identity } = check(() => verifier.verify(byIdentity));
  for (const { canonicalizedBody } of byIdentity.tlogEntries) {
    checkLoggedKey(canonicalizedBody, key);
  }
  checkUsage(identity);
  const subject = identity?.subjectAlternativeName ?? "";
  const issuer = identity?.extensions?.issuer ?? "";
  checkIdentity({ issuer, subject }, rule.keyless);
  return { signer: `${subject} (${issuer})`, entity: byIdentity };
}

/** Those that can be verified: without a log, what a log says of the time is nothing to go by. */
function timestampsOf(
  { timestamps }: SignedEntity,
  { rule, trust }: CheckContext,
): SignedEntity["timestamps"] {
  return timestamps.filter((one) =>
    one.$case === "transparency-log"
      ? rule.transparencyLog && one.tlogEntry.inclusionPromise !== undefined
      : trust.timestampAuthorities.length > 0,
  );
}

function checkUsage(identity: Signer["identity"]): void {
  const usage = identity?.oids?.find(({ oid }) => oid?.id.join(".") === EXTENDED_KEY_USAGE);
  if (!usage?.value.includes(CODE_SIGNING)) {
    throw new RefusedEvidence("its certificate is not for signing code");
  }
}

function checkIdentity(
  { issuer, subject }: KeylessIdentity,
  wanted: readonly KeylessIdentity[],
): void {
  const ofIssuer = wanted.filter((one) => matchesWildcard(one.issuer, issuer));
  if (ofIssuer.length === 0) {
    throw new RefusedEvidence(
      `it is by ${JSON.stringify(subject)}, whose issuer ${JSON.stringify(issuer)} is none of the rule's`,
    );
  }
  if (!ofIssuer.some((one) => matchesWildcard(one.subject, subject))) {
    throw new RefusedEvidence(`it is by ${JSON.stringify(subject)}, who is none of the rule's`);
  }
}

/** What went wrong, by the library's codes. */
const REASONS: Readonly<Record<string, string>> = {
  CERTIFICATE_ERROR: "its certificate does not count",
  PUBLIC_KEY_ERROR: "its key does not count",
  SIGNATURE_ERROR: "what is signed was changed",
  TIMESTAMP_ERROR: "nobody vouches for its time",
  TLOG_BODY_ERROR: "its log entry is of something else",
  TLOG_ERROR: "it is not in the transparency log",
  TLOG_INCLUSION_PROMISE_ERROR: "its log entry is not signed by the log",
  TLOG_INCLUSION_PROOF_ERROR: "the proof of its log entry is wrong",
  TLOG_MISSING_INCLUSION_ERROR: "its log entry has no proof",
};

function check<Value>(run: () => Value): Value {
  return refusing("it is damaged", run);
}

/** The library throws errors of all kinds for what it cannot parse: none of them may pass. */
function refusing<Value>(what: string, run: () => Value): Value {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof RefusedEvidence) throw cause;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    throw new RefusedEvidence(`${REASONS[code] ?? what}: ${messageOf(cause)}`, { cause });
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message}${inner}`;
}
