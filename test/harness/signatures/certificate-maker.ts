import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import type { CertificateLog } from "./certificate-log.ts";
import {
  bits,
  type Der,
  identifier,
  integer,
  octets,
  sequence,
  set,
  tagged,
  time,
  TRUE,
  utf8,
} from "./der.ts";

const ECDSA_SHA256 = sequence(identifier("1.2.840.10045.4.3.2"));
const MINUTE_MS = 60_000;
const YEAR_MS = 365 * 24 * 60 * MINUTE_MS;

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const newKeys = (): KeyPair => generateKeyPairSync("ec", { namedCurve: "P-256" });

/** What is to be certified of who signs. */
export interface CertificateRequest {
  readonly publicKey: KeyObject;
  readonly issuer: string;
  /** A mail address, or else a URI. */
  readonly subject: string;
  /** When it begins to be valid; now, if absent. */
  readonly from?: Date;
  readonly minutes?: number;
  /** Where it is logged; nowhere, if absent. */
  readonly log?: CertificateLog | undefined;
  /** In place of signing code, 1.3.6.1.5.5.7.3.3. */
  readonly usage?: string;
}

/** A certificate authority as Fulcio is one: a root, an intermediate, and certificates for ten minutes. */
export class CertificateMaker {
  readonly #keys: KeyPair;
  readonly #name: Der;
  /** The intermediate and the root, in DER. */
  readonly chain: readonly Der[];

  constructor(name = "fulcio.test", from = new Date(Date.now() - YEAR_MS)) {
    const rootName = nameOf(`${name} root`);
    const root = newKeys();
    this.#keys = newKeys();
    this.#name = nameOf(name);
    const validity = { from, until: new Date(from.getTime() + 10 * YEAR_MS) };
    this.chain = [
      certificate({
        serial: newSerial(),
        issuer: rootName,
        subject: this.#name,
        publicKey: this.#keys.publicKey,
        ...validity,
        signedWith: root,
        extensions: [...authority(), keyIds(this.#keys.publicKey, root.publicKey)].flat(),
      }),
      certificate({
        serial: newSerial(),
        issuer: rootName,
        subject: rootName,
        publicKey: root.publicKey,
        ...validity,
        signedWith: root,
        extensions: [...authority(), keyIds(root.publicKey, root.publicKey)].flat(),
      }),
    ];
  }

  /** In DER. */
  issue(request: CertificateRequest): Der {
    const { publicKey, from = new Date(), minutes = 10, log, usage } = request;
    const parts = {
      serial: newSerial(),
      issuer: this.#name,
      subject: sequence(),
      publicKey,
      from,
      until: new Date(from.getTime() + minutes * MINUTE_MS),
      signedWith: this.#keys,
    };
    const extensions = [
      // For signatures.
      extension("2.5.29.15", bits(Buffer.from([0x80]), 7), true),
      extension("2.5.29.37", sequence(identifier(usage ?? "1.3.6.1.5.5.7.3.3"))),
      ...keyIds(publicKey, this.#keys.publicKey),
      extension("2.5.29.17", sequence(alternativeName(request.subject)), true),
      extension("1.3.6.1.4.1.57264.1.1", Buffer.from(request.issuer)),
      extension("1.3.6.1.4.1.57264.1.8", utf8(request.issuer)),
    ];
    if (!log) return certificate({ ...parts, extensions });
    const issuerHash = createHash("sha256").update(spki(this.#keys.publicKey)).digest();
    const stamp = log.stamp(toBeSigned({ ...parts, extensions }), issuerHash, from);
    const logged = extension("1.3.6.1.4.1.11129.2.4.2", octets(stamp));
    return certificate({ ...parts, extensions: [...extensions, logged] });
  }
}

export function spki(key: KeyObject): Der {
  return key.export({ type: "spki", format: "der" });
}

export function pemOf(der: Uint8Array, label = "CERTIFICATE"): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

interface Parts {
  readonly serial: Buffer;
  readonly issuer: Der;
  readonly subject: Der;
  readonly publicKey: KeyObject;
  readonly from: Date;
  readonly until: Date;
  readonly extensions: readonly Der[];
}

/** RFC 5280 section 4.1. */
function certificate({ signedWith, ...parts }: Parts & { readonly signedWith: KeyPair }): Der {
  const body = toBeSigned(parts);
  return sequence(body, ECDSA_SHA256, bits(sign("sha256", body, signedWith.privateKey)));
}

function toBeSigned({ serial, issuer, subject, publicKey, from, until, extensions }: Parts): Der {
  return sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_SHA256,
    issuer,
    sequence(time(from), time(until)),
    subject,
    spki(publicKey),
    tagged(0xa3, sequence(...extensions)),
  );
}

function newSerial(): Buffer {
  return Buffer.concat([Buffer.from([1]), randomBytes(15)]);
}

function nameOf(text: string): Der {
  return sequence(set(sequence(identifier("2.5.4.3"), utf8(text))));
}

function extension(id: string, value: Uint8Array, isCritical = false): Der {
  return sequence(identifier(id), ...(isCritical ? [TRUE] : []), octets(value));
}

function authority(): Der[] {
  return [
    extension("2.5.29.19", sequence(TRUE), true),
    // To sign certificates and revocation lists.
    extension("2.5.29.15", bits(Buffer.from([0x06]), 1), true),
  ];
}

function keyIds(own: KeyObject, issuer: KeyObject): Der[] {
  const idOf = (key: KeyObject): Buffer => createHash("sha1").update(spki(key)).digest();
  return [
    extension("2.5.29.14", octets(idOf(own))),
    extension("2.5.29.35", sequence(tagged(0x80, idOf(issuer)))),
  ];
}

function alternativeName(subject: string): Der {
  const isMail = subject.includes("@") && !subject.includes("://");
  return tagged(isMail ? 0x81 : 0x86, Buffer.from(subject));
}
