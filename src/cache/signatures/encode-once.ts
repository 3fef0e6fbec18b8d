import type { SignedEntity } from "@sigstore/verify";

type Certificate = Extract<SignedEntity["key"], { $case: "certificate" }>["certificate"];

/**
 * Has a certificate, which nobody changes, written to DER once. The library writes it anew wherever it compares or
 * verifies it, a dozen times for one signature, which was 80 % of its work.
 */
export function encodeOnce(certificate: Certificate): void {
  for (const part of [certificate.root, certificate.tbsCertificate]) {
    const der = part.toDER();
    part.toDER = () => der;
  }
}
