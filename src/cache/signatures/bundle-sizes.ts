import type { Bundle } from "@sigstore/bundle";
import { RefusedEvidence } from "./refused-evidence.ts";

const MAX_ENTRIES = 8;
const MAX_TIMESTAMPS = 8;
/** As many as a log of 2^64 entries would need, twice. */
const MAX_HASHES = 128;
const MAX_CHECKPOINT = 16 * 1024;
const MAX_BODY = 64 * 1024;
const MAX_CERTIFICATE = 32 * 1024;
const MAX_TIMESTAMP = 32 * 1024;
const MAX_CERTIFICATES = 16;

/**
 * Refuses what would make the library work for seconds: it compares each timestamp with each other one, and tries each
 * signature of a checkpoint. Real bundles have one entry, of 1 to 3 KiB.
 *
 * @throws RefusedEvidence
 */
export function checkSizes({ verificationMaterial }: Bundle): void {
  const { content, tlogEntries, timestampVerificationData } = verificationMaterial;
  atMost(MAX_ENTRIES, tlogEntries.length, "log entries");
  for (const { canonicalizedBody, inclusionProof } of tlogEntries) {
    atMost(MAX_BODY, canonicalizedBody.length, "bytes in a log entry");
    atMost(MAX_HASHES, inclusionProof?.hashes.length ?? 0, "hashes in a proof of inclusion");
    atMost(MAX_CHECKPOINT, inclusionProof?.checkpoint?.envelope.length ?? 0, "bytes of checkpoint");
  }
  const timestamps = timestampVerificationData?.rfc3161Timestamps ?? [];
  atMost(MAX_TIMESTAMPS, timestamps.length, "timestamps");
  for (const { signedTimestamp } of timestamps) {
    atMost(MAX_TIMESTAMP, signedTimestamp.length, "bytes in a timestamp");
  }
  const certificates =
    content.$case === "certificate"
      ? [content.certificate]
      : content.$case === "x509CertificateChain"
        ? content.x509CertificateChain.certificates
        : [];
  atMost(MAX_CERTIFICATES, certificates.length, "certificates");
  for (const { rawBytes } of certificates) {
    atMost(MAX_CERTIFICATE, rawBytes.length, "bytes in a certificate");
  }
}

function atMost(limit: number, count: number, what: string): void {
  if (count > limit) throw new RefusedEvidence(`it has ${count} ${what}, more than ${limit}`);
}
