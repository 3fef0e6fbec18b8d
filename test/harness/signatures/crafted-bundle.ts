import { createHash, type KeyObject, sign } from "node:crypto";
import { type KeyPair, newKeys, pemOf, spki } from "./certificate-maker.ts";
import type { CertificateLog } from "./certificate-log.ts";
import type { CertificateMaker } from "./certificate-maker.ts";
import type { SigstoreServices } from "./sigstore-services.ts";
import type { LogEntry, TransparencyLog } from "./transparency-log.ts";

export const SIGNATURE = "https://sigstore.dev/cosign/sign/v1";
export const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT_TYPE = "application/vnd.in-toto+json";

/** Who signs, and when. What is absent is as it should be. */
export interface CraftOptions {
  /** Signs with a key in place of an identity. */
  readonly keys?: KeyPair;
  /** The hash that is signed; SHA-256, or none for Ed25519. */
  readonly hash?: string | undefined;
  readonly issuer?: string;
  readonly subject?: string;
  readonly authority?: CertificateMaker;
  /** `none`: the certificate has no timestamp of a log. */
  readonly certificateLog?: CertificateLog | "none";
  readonly usage?: string;
  /** When the certificate begins to be valid. */
  readonly from?: Date;
  readonly log?: TransparencyLog | "none";
  /** When it was logged, in milliseconds of the epoch. */
  readonly loggedAt?: number;
  /** Is logged in place of the key that signed. */
  readonly loggedKey?: string;
  readonly payloadType?: string;
  /** Where the statement is in JSON already, or is none. */
  readonly payload?: string;
}

/** A bundle as cosign 3 writes it; loose, since tests change it. */
export interface CraftedBundle {
  mediaType: string;
  verificationMaterial: {
    certificate?: { rawBytes: string };
    publicKey?: { hint: string };
    tlogEntries: CraftedEntry[];
    timestampVerificationData?: { rfc3161Timestamps: { signedTimestamp: string }[] };
  };
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
}

export interface CraftedEntry {
  logIndex: string;
  logId: { keyId: string };
  kindVersion: { kind: string; version: string };
  integratedTime: string;
  inclusionPromise?: { signedEntryTimestamp: string };
  inclusionProof?: {
    logIndex: string;
    rootHash: string;
    treeSize: string;
    hashes: string[];
    checkpoint: { envelope: string };
  };
  canonicalizedBody: string;
}

export const ISSUER = "https://ci.test";
export const SUBJECT = "https://ci.test/acme/app/release.yml@refs/tags/v1";

/** An in-toto statement about a digest. */
export function statementOf(
  digest: string,
  { predicateType = SIGNATURE, name, annotations = {} }: StatementOptions = {},
): object {
  const [algorithm = "", hex = ""] = digest.split(":");
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: [
      { ...(name === undefined ? {} : { name }), digest: { [algorithm]: hex }, annotations },
    ],
    predicateType,
    predicate: {},
  };
}

export interface StatementOptions {
  readonly predicateType?: string;
  readonly name?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Signs a statement, and logs it. */
export function craftBundle(
  services: SigstoreServices,
  statement: object,
  options: CraftOptions = {},
): CraftedBundle {
  const { keys = newKeys(), payloadType = STATEMENT_TYPE } = options;
  const payload = Buffer.from(options.payload ?? JSON.stringify(statement));
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  const hash = "hash" in options ? options.hash : "sha256";
  const signature = sign(hash, Buffer.concat([Buffer.from(head), payload]), keys.privateKey);
  const certificate = options.keys ? undefined : certify(services, keys.publicKey, options);
  const verifier = certificate ? pemOf(certificate) : pemOf(spki(keys.publicKey), "PUBLIC KEY");
  const envelope = {
    payload: payload.toString("base64"),
    payloadType,
    signatures: [{ sig: signature.toString("base64") }],
  };
  const { log = services.log, loggedAt, loggedKey = verifier } = options;
  const entry = {
    apiVersion: "0.0.1",
    kind: "dsse",
    spec: {
      envelopeHash: hashOf(Buffer.from(JSON.stringify(envelope))),
      payloadHash: hashOf(payload),
      signatures: [
        {
          signature: signature.toString("base64"),
          verifier: Buffer.from(loggedKey).toString("base64"),
        },
      ],
    },
  };
  const tlogEntries = log === "none" ? [] : [entryOf(log.add(entry, loggedAt), "dsse")];
  const material = certificate
    ? { certificate: { rawBytes: certificate.toString("base64") } }
    : { publicKey: { hint: "" } };
  return {
    mediaType: BUNDLE_TYPE,
    verificationMaterial: { ...material, tlogEntries },
    dsseEnvelope: envelope,
  };
}

/** A layer as cosign 2 pushes it: a payload, and its signature in annotations. */
export interface CraftedSimpleSigning {
  payload: Buffer<ArrayBuffer>;
  annotations: Record<string, string>;
}

export function simplePayload(digest: string, reference: string): object {
  return {
    critical: {
      identity: { "docker-reference": reference },
      image: { "docker-manifest-digest": digest },
      type: "cosign container image signature",
    },
    optional: null,
  };
}

export function craftSimpleSigning(
  services: SigstoreServices,
  statement: object,
  options: CraftOptions = {},
): CraftedSimpleSigning {
  const { keys = newKeys() } = options;
  const payload = Buffer.from(options.payload ?? JSON.stringify(statement));
  const hash = "hash" in options ? options.hash : "sha256";
  const signature = sign(hash, payload, keys.privateKey).toString("base64");
  const certificate = options.keys ? undefined : certify(services, keys.publicKey, options);
  const verifier = certificate ? pemOf(certificate) : pemOf(spki(keys.publicKey), "PUBLIC KEY");
  const { log = services.log, loggedAt, loggedKey = verifier } = options;
  const annotations: Record<string, string> = { "dev.cosignproject.cosign/signature": signature };
  if (certificate) annotations["dev.sigstore.cosign/certificate"] = pemOf(certificate);
  if (log !== "none") {
    const content = Buffer.from(loggedKey).toString("base64");
    const { verification, ...logged } = log.add(
      {
        apiVersion: "0.0.1",
        kind: "hashedrekord",
        spec: {
          data: { hash: hashOf(payload) },
          signature: { content: signature, publicKey: { content } },
        },
      },
      loggedAt,
    );
    annotations["dev.sigstore.cosign/bundle"] = JSON.stringify({
      SignedEntryTimestamp: verification.signedEntryTimestamp,
      Payload: logged,
    });
  }
  return { payload, annotations };
}

function certify(
  services: SigstoreServices,
  publicKey: KeyObject,
  options: CraftOptions,
): Buffer<ArrayBuffer> {
  const { authority = services.authority, certificateLog = services.certificateLog } = options;
  return authority.issue({
    publicKey,
    issuer: options.issuer ?? ISSUER,
    subject: options.subject ?? SUBJECT,
    ...(options.from ? { from: options.from } : {}),
    ...(options.usage === undefined ? {} : { usage: options.usage }),
    log: certificateLog === "none" ? undefined : certificateLog,
  });
}

function entryOf(logged: LogEntry, kind: string): CraftedEntry {
  const { inclusionProof, signedEntryTimestamp } = logged.verification;
  const base64 = (hex: string): string => Buffer.from(hex, "hex").toString("base64");
  return {
    logIndex: String(logged.logIndex),
    logId: { keyId: base64(logged.logID) },
    kindVersion: { kind, version: "0.0.1" },
    integratedTime: String(logged.integratedTime),
    inclusionPromise: { signedEntryTimestamp },
    inclusionProof: {
      logIndex: String(inclusionProof.logIndex),
      rootHash: base64(inclusionProof.rootHash),
      treeSize: String(inclusionProof.treeSize),
      hashes: inclusionProof.hashes.map(base64),
      checkpoint: { envelope: inclusionProof.checkpoint },
    },
    canonicalizedBody: logged.body,
  };
}

function hashOf(bytes: Uint8Array): { algorithm: string; value: string } {
  return { algorithm: "sha256", value: createHash("sha256").update(bytes).digest("hex") };
}
