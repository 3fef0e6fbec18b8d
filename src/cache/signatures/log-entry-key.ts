import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { z } from "zod";
import { RefusedEvidence } from "./refused-evidence.ts";

/** Base64 of PEM: a public key or a certificate. */
const pem = z.string().transform((text) => Buffer.from(text, "base64").toString());
/** Base64 of DER, in logs of the second version. */
const der = z.looseObject({
  rawBytes: z.base64().transform((text) => Buffer.from(text, "base64")),
});
const verifier = z.looseObject({ publicKey: der.optional(), x509Certificate: der.optional() });

const hashedRekord = z.looseObject({
  spec: z.looseObject({ signature: z.looseObject({ publicKey: z.looseObject({ content: pem }) }) }),
});
const dsse = z.looseObject({
  spec: z.looseObject({ signatures: z.tuple([z.looseObject({ verifier: pem })]) }),
});
const intoto = z.looseObject({
  spec: z.looseObject({
    content: z.looseObject({
      envelope: z.looseObject({ signatures: z.tuple([z.looseObject({ publicKey: pem })]) }),
    }),
  }),
});
const hashedRekord2 = z.looseObject({
  spec: z.looseObject({
    hashedRekordV002: z.looseObject({ signature: z.looseObject({ verifier }) }),
  }),
});
const dsse2 = z.looseObject({
  spec: z.looseObject({
    dsseV002: z.looseObject({ signatures: z.tuple([z.looseObject({ verifier })]) }),
  }),
});

/**
 * Checks that a log entry names the key that signed. The library compares signature and digest alone; but for a
 * signature by ECDSA, another key can be computed for which it is valid, and be logged in its place. Whoever watches the
 * log for the use of a stolen key would not see it (CVE-2026-22703).
 *
 * @throws RefusedEvidence
 */
export function checkLoggedKey(body: Buffer, key: KeyObject): void {
  const logged = keyIn(body);
  if (!logged) throw new RefusedEvidence("its log entry names no key that can be read");
  if (!logged.equals(key)) throw new RefusedEvidence("its log entry is of another key");
}

function keyIn(body: Buffer): KeyObject | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    const first = hashedRekord.safeParse(value).data;
    if (first) return keyOfPem(first.spec.signature.publicKey.content);
    const second = dsse.safeParse(value).data;
    if (second) return keyOfPem(second.spec.signatures[0].verifier);
    const third = intoto.safeParse(value).data;
    if (third) return keyOfPem(third.spec.content.envelope.signatures[0].publicKey);
    const fourth = hashedRekord2.safeParse(value).data;
    if (fourth) return keyOfDer(fourth.spec.hashedRekordV002.signature.verifier);
    const fifth = dsse2.safeParse(value).data;
    return fifth && keyOfDer(fifth.spec.dsseV002.signatures[0].verifier);
  } catch {
    return undefined;
  }
}

function keyOfPem(text: string): KeyObject {
  return text.includes("CERTIFICATE") ? new X509Certificate(text).publicKey : createPublicKey(text);
}

function keyOfDer({ publicKey, x509Certificate }: z.infer<typeof verifier>): KeyObject | undefined {
  if (x509Certificate) return new X509Certificate(x509Certificate.rawBytes).publicKey;
  return publicKey && createPublicKey({ key: publicKey.rawBytes, format: "der", type: "spki" });
}
