/** Writes ASN.1 in DER (ITU-T X.690): what certificates are made of. */
export type Der = Buffer<ArrayBuffer>;

export function tagged(tag: number, ...parts: readonly Uint8Array[]): Der {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Der => tagged(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Der => tagged(0x31, ...parts);
export const octets = (...parts: readonly Uint8Array[]): Der => tagged(0x04, ...parts);
export const bits = (bytes: Uint8Array, unused = 0): Der =>
  tagged(0x03, Buffer.from([unused]), bytes);
export const utf8 = (text: string): Der => tagged(0x0c, Buffer.from(text));
export const TRUE = tagged(0x01, Buffer.from([0xff]));

export function integer(bytes: Uint8Array): Der {
  const isNegative = (bytes[0] ?? 0) > 0x7f;
  return tagged(0x02, isNegative ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

/** A moment before 2050 (RFC 5280 section 4.1.2.5.1): YYMMDDHHMMSSZ. */
export function time(moment: Date): Der {
  const text = `${moment.toISOString().slice(2, 19).replaceAll(/[-:T]/g, "")}Z`;
  return tagged(0x17, Buffer.from(text));
}

/** @param text `1.2.840.10045.4.3.2` */
export function identifier(text: string): Der {
  const [first = 0, second = 0, ...others] = text.split(".").map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...others.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}
