import { createPublicKey, X509Certificate } from "node:crypto";
import path from "node:path";
import { z } from "zod";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { VerifyRule } from "../policies/policy-settings.ts";
import type { FileContext } from "../upstreams/certificates.ts";

const MAX_BYTES = 1024 * 1024;

const base64 = z.string().transform((text) => Buffer.from(text, "base64"));

const log = z.looseObject({
  publicKey: z.looseObject({
    rawBytes: base64.refine(isPublicKey, { message: "is no public key" }),
  }),
});

const authority = z.looseObject({
  certChain: z.looseObject({
    certificates: z
      .array(
        z.looseObject({ rawBytes: base64.refine(isCertificate, { message: "is no certificate" }) }),
      )
      .min(1, { message: "is empty" }),
  }),
});

/** Of trusted_root.json (sigstore's protobuf-specs), what could keep all signatures from being verified. */
const trustedRoot = z.looseObject({
  tlogs: z.array(log).optional(),
  certificateAuthorities: z.array(authority).optional(),
  ctlogs: z.array(log).optional(),
  timestampAuthorities: z.array(authority).optional(),
});

/** What signatures are verified with. */
export interface TrustNeeds {
  readonly log: boolean;
  /** Those that Fulcio issues. */
  readonly certificates: boolean;
}

/** Reads a trusted_root.json. What is wrong is reported. */
export function readTrustRoot(
  at: Path,
  file: string,
  needs: TrustNeeds,
  { folder, readFile, report }: FileContext,
): VerifyRule["trustRoot"] {
  const name = path.resolve(folder, file);
  const refuse = (reason: string): undefined => {
    report(at, `${name} ${reason}`, "value");
  };
  let json: string;
  try {
    json = readFile(name, MAX_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return refuse(error.message);
  }
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return refuse("is not JSON: write a trusted_root.json (cosign trusted-root create)");
  }
  const { data, error } = trustedRoot.safeParse(value);
  if (!data) {
    const [issue] = error.issues;
    return refuse(
      `is no trusted_root.json: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    );
  }
  if (needs.log && !data.tlogs?.length) {
    return refuse("has no transparency log (tlogs): add it, or set transparencyLog: false");
  }
  if (needs.certificates && !data.certificateAuthorities?.length) {
    return refuse("has no certificate authority (certificateAuthorities), which keyless needs");
  }
  if (needs.certificates && !needs.log && !data.timestampAuthorities?.length) {
    return refuse(
      "has no timestamp authority (timestampAuthorities), which keyless needs without a log",
    );
  }
  return { file: name, json };
}

function isPublicKey(der: Buffer): boolean {
  try {
    createPublicKey({ key: der, format: "der", type: "spki" });
    return true;
  } catch {
    return isRsaKey(der);
  }
}

/** As old roots write RSA keys (PKCS #1). */
function isRsaKey(der: Buffer): boolean {
  try {
    createPublicKey({ key: der, format: "der", type: "pkcs1" });
    return true;
  } catch {
    return false;
  }
}

function isCertificate(der: Buffer): boolean {
  try {
    return new X509Certificate(der).raw.length > 0;
  } catch {
    return false;
  }
}
