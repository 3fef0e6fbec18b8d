import { createHash } from "node:crypto";
import { z } from "zod";
import { isObject } from "../../oci/json-object.ts";
import { RefusedEvidence } from "./refused-evidence.ts";

/** What a registry has of an image's signatures and attestations, brought into one form. Nothing of it is verified. */
export interface Evidence {
  /** A bundle of sigstore's as JSON, for `bundleFromJSON`. */
  readonly bundle: unknown;
  /** The bytes that are signed, unless the bundle has them in an envelope. */
  readonly message: Buffer<ArrayBuffer>;
  /** What the message is: the manifest of the image itself, or a text about it (simple signing). */
  readonly messageIs: "image" | "text";
}

/** Cosign's annotations of a layer. */
const KEYS = {
  signature: "dev.cosignproject.cosign/signature",
  certificate: "dev.sigstore.cosign/certificate",
  bundle: "dev.sigstore.cosign/bundle",
  timestamp: "dev.sigstore.cosign/rfc3161timestamp",
} as const;

/** The first version of bundles has the same parts as what cosign 2 wrote: a promise of inclusion, and no proof. */
const OLD_BUNDLE = "application/vnd.dev.sigstore.bundle+json;version=0.1";

type Annotations = Readonly<Record<string, string>>;

/**
 * @param image gets the manifest, of which some signatures are
 * @throws RefusedEvidence
 */
export async function bundleEvidence(
  bytes: Uint8Array,
  image: () => Promise<Buffer<ArrayBuffer>>,
): Promise<Evidence> {
  const bundle = parseJson(bytes, "the bundle");
  const isOfImage = isObject(bundle) && bundle["messageSignature"] !== undefined;
  return { bundle, message: isOfImage ? await image() : Buffer.alloc(0), messageIs: "image" };
}

/** What `cosign sign` of version 2 and older pushes as `sha256-….sig`. @throws RefusedEvidence */
export function simpleSigningEvidence(
  payload: Buffer<ArrayBuffer>,
  annotations: Annotations,
): Evidence {
  const signature = annotations[KEYS.signature] ?? "";
  if (signature === "") throw new RefusedEvidence("its layer has no signature");
  return {
    bundle: {
      mediaType: OLD_BUNDLE,
      verificationMaterial: materialIn(annotations),
      messageSignature: {
        messageDigest: {
          algorithm: "SHA2_256",
          digest: createHash("sha256").update(payload).digest("base64"),
        },
        signature,
      },
    },
    message: payload,
    messageIs: "text",
  };
}

/** What `cosign attest` of version 2 and older pushes as `sha256-….att`. @throws RefusedEvidence */
export function envelopeEvidence(bytes: Uint8Array, annotations: Annotations): Evidence {
  return {
    bundle: {
      mediaType: OLD_BUNDLE,
      verificationMaterial: materialIn(annotations),
      dsseEnvelope: parseJson(bytes, "the envelope"),
    },
    message: Buffer.alloc(0),
    messageIs: "text",
  };
}

const logged = z.looseObject({
  SignedEntryTimestamp: z.string(),
  Payload: z.looseObject({
    body: z.string(),
    integratedTime: z.int().nonnegative(),
    logIndex: z.int().nonnegative(),
    logID: z.string().regex(/^[0-9a-f]+$/),
  }),
});

const entryKind = z.looseObject({ kind: z.string(), apiVersion: z.string() });
const stamped = z.looseObject({ SignedRFC3161Timestamp: z.string() });
const PEM = /-----BEGIN CERTIFICATE-----([\s\S]+?)-----END CERTIFICATE-----/;

/** The certificate, log entry and timestamp of an old signature, as a bundle has them. */
function materialIn(annotations: Annotations): object {
  const { [KEYS.certificate]: certificate, [KEYS.bundle]: bundle } = annotations;
  const timestamp = annotations[KEYS.timestamp];
  return {
    ...(certificate === undefined || certificate === ""
      ? { publicKey: { hint: "" } }
      : { x509CertificateChain: { certificates: [{ rawBytes: derOf(certificate) }] } }),
    tlogEntries: bundle === undefined || bundle === "" ? [] : [entryIn(bundle)],
    ...(timestamp === undefined || timestamp === ""
      ? {}
      : { timestampVerificationData: { rfc3161Timestamps: [stampIn(timestamp)] } }),
  };
}

function derOf(pem: string): string {
  const base64 = PEM.exec(pem)?.[1]?.replaceAll(/\s/g, "");
  if (base64 === undefined) throw new RefusedEvidence("its certificate is not in PEM format");
  return base64;
}

function entryIn(text: string): object {
  const { data } = logged.safeParse(parseJson(text, "its log entry"));
  if (!data) throw new RefusedEvidence("its log entry lacks a part");
  const { body, integratedTime, logIndex, logID } = data.Payload;
  const { data: kind } = entryKind.safeParse(
    parseJson(Buffer.from(body, "base64"), "the body of its log entry"),
  );
  if (!kind) throw new RefusedEvidence("the body of its log entry is of no kind");
  return {
    logIndex: String(logIndex),
    logId: { keyId: Buffer.from(logID, "hex").toString("base64") },
    kindVersion: { kind: kind.kind, version: kind.apiVersion },
    integratedTime: String(integratedTime),
    inclusionPromise: { signedEntryTimestamp: data.SignedEntryTimestamp },
    canonicalizedBody: body,
  };
}

function stampIn(text: string): object {
  const { data } = stamped.safeParse(parseJson(text, "its timestamp"));
  if (!data) throw new RefusedEvidence("its timestamp lacks a part");
  return { signedTimestamp: data.SignedRFC3161Timestamp };
}

function parseJson(text: string | Uint8Array, what: string): unknown {
  try {
    return JSON.parse(
      typeof text === "string" ? text : new TextDecoder("utf-8", { fatal: true }).decode(text),
    );
  } catch {
    throw new RefusedEvidence(`${what} is not JSON`);
  }
}
