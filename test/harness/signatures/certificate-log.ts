import { createHash, sign } from "node:crypto";
import { type KeyPair, newKeys, spki } from "./certificate-maker.ts";

/** A certificate transparency log (RFC 6962) that keeps nothing: it signs that it has seen a certificate. */
export class CertificateLog {
  readonly keys: KeyPair = newKeys();
  readonly id = createHash("sha256").update(spki(this.keys.publicKey)).digest();

  /** The list of signed timestamps for a certificate, as it is embedded there (section 3.3). */
  stamp(toBeSigned: Uint8Array, issuerHash: Uint8Array, at: Date): Buffer<ArrayBuffer> {
    const moment = Buffer.alloc(8);
    moment.writeBigUInt64BE(BigInt(at.getTime()));
    const signed = Buffer.concat([
      Buffer.from([0, 0]),
      moment,
      Buffer.from([0, 1]),
      issuerHash,
      sized(3, toBeSigned),
      Buffer.from([0, 0]),
    ]);
    const signature = sign("sha256", signed, this.keys.privateKey);
    const stamp = Buffer.concat([
      Buffer.from([0]),
      this.id,
      moment,
      Buffer.from([0, 0]),
      // SHA-256 with ECDSA.
      Buffer.from([4, 3]),
      sized(2, signature),
    ]);
    return sized(2, sized(2, stamp));
  }
}

function sized(bytes: number, content: Uint8Array): Buffer<ArrayBuffer> {
  const head = Buffer.alloc(bytes);
  head.writeUIntBE(content.length, 0, bytes);
  return Buffer.concat([head, content]);
}
