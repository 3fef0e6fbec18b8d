/**
 * Messages of D-Bus as far as systemd's manager needs them: calls whose arguments are strings, and what it
 * sends back (https://dbus.freedesktop.org/doc/dbus-specification.html, "Message Protocol").
 */

export interface MethodCall {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly args: readonly string[];
}

export interface DbusMessage {
  readonly type: "call" | "return" | "error" | "signal";
  /** Of a return and an error: the serial of the call. */
  readonly replyTo: number | undefined;
  /** Of a signal: its name. */
  readonly member: string | undefined;
  /** Of an error: its name, such as `org.freedesktop.DBus.Error.AccessDenied`. */
  readonly error: string | undefined;
  /** The values of the body, up to the first of a type that is not read here. */
  readonly values: readonly (string | number)[];
}

/** A message that is not what the specification says. */
export class DbusFormatError extends Error {
  override readonly name = "DbusFormatError";
}

const TYPES = ["call", "return", "error", "signal"] as const;
const LITTLE_ENDIAN = 0x6c;
const FIXED_BYTES = 16;
/** The specification's own limit is 128 MiB; systemd's answers here have a few hundred bytes. */
const MAX_BYTES = 1024 * 1024;
const FIELDS = {
  path: 1,
  interface: 2,
  member: 3,
  error: 4,
  replyTo: 5,
  destination: 6,
  signature: 8,
};
const DESTINATION = "org.freedesktop.systemd1";

export function encodeCall(call: MethodCall, serial: number): Uint8Array {
  const body = new Writer();
  for (const argument of call.args) body.string(argument);
  const fields = new Writer();
  const field = (code: number, type: "o" | "s" | "g", value: string): void => {
    fields.align(8);
    fields.byte(code);
    fields.signature(type);
    if (type === "g") fields.signature(value);
    else fields.string(value);
  };
  field(FIELDS.path, "o", call.path);
  field(FIELDS.interface, "s", call.interface);
  field(FIELDS.member, "s", call.member);
  field(FIELDS.destination, "s", DESTINATION);
  if (call.args.length > 0) field(FIELDS.signature, "g", "s".repeat(call.args.length));
  const message = new Writer();
  for (const byte of [LITTLE_ENDIAN, 1, 0, 1]) message.byte(byte);
  message.uint32(body.length);
  message.uint32(serial);
  message.uint32(fields.length);
  message.bytes(fields.toBytes());
  message.align(8);
  message.bytes(body.toBytes());
  return message.toBytes();
}

/**
 * The first message of what was received, and how many bytes it has. Undefined if it is not complete yet.
 *
 * @throws DbusFormatError
 */
export function decodeMessage(
  received: Uint8Array,
): { readonly message: DbusMessage; readonly length: number } | undefined {
  if (received.length < FIXED_BYTES) return undefined;
  if (received[0] !== LITTLE_ENDIAN) throw new DbusFormatError("a message is not little-endian");
  const type = TYPES[(received[1] ?? 0) - 1];
  if (type === undefined) throw new DbusFormatError(`a message has the type ${received[1]}`);
  const view = new DataView(received.buffer, received.byteOffset, received.byteLength);
  const bodyBytes = view.getUint32(4, true);
  const fieldBytes = view.getUint32(12, true);
  const bodyAt = padded(FIXED_BYTES + fieldBytes, 8);
  const length = bodyAt + bodyBytes;
  if (length > MAX_BYTES) throw new DbusFormatError(`a message has ${length} bytes`);
  if (received.length < length) return undefined;
  const fields = new Map<number, string | number>();
  const reader = new Reader(received.subarray(0, FIXED_BYTES + fieldBytes), FIXED_BYTES);
  while (!reader.isAtEnd) {
    reader.align(8);
    if (reader.isAtEnd) break;
    const code = reader.byte();
    const value = reader.value(reader.signature());
    if (value !== undefined) fields.set(code, value);
  }
  const values: (string | number)[] = [];
  const body = new Reader(received.subarray(bodyAt, length), 0);
  for (const one of String(fields.get(FIELDS.signature) ?? "")) {
    const value = body.value(one);
    if (value === undefined) break;
    values.push(value);
  }
  const replyTo = fields.get(FIELDS.replyTo);
  const text = (code: number): string | undefined => {
    const value = fields.get(code);
    return typeof value === "string" ? value : undefined;
  };
  return {
    length,
    message: {
      type,
      replyTo: typeof replyTo === "number" ? replyTo : undefined,
      member: text(FIELDS.member),
      error: text(FIELDS.error),
      values,
    },
  };
}

class Writer {
  #buffer = new Uint8Array(256);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  align(boundary: number): void {
    while (this.#length % boundary !== 0) this.byte(0);
  }

  byte(value: number): void {
    this.bytes(Uint8Array.of(value));
  }

  uint32(value: number): void {
    this.align(4);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.bytes(bytes);
  }

  string(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.uint32(bytes.length);
    this.bytes(bytes);
    this.byte(0);
  }

  signature(value: string): void {
    this.byte(value.length);
    this.bytes(new TextEncoder().encode(value));
    this.byte(0);
  }

  bytes(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#buffer.length) {
      const larger = new Uint8Array(2 * (this.#length + bytes.length));
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  toBytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  align(boundary: number): void {
    this.#at = padded(this.#at, boundary);
  }

  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new DbusFormatError("a message ends too early");
    this.#at += 1;
    return byte;
  }

  signature(): string {
    return this.#text(this.byte());
  }

  /** A value of one of the types that are read here: string, path, signature, number, or one in a variant. */
  value(type: string): string | number | undefined {
    switch (type) {
      case "s":
      case "o":
        return this.#text(this.#uint32());
      case "g":
        return this.signature();
      case "u":
        return this.#uint32();
      case "v":
        return this.value(this.signature());
      default:
        return undefined;
    }
  }

  #uint32(): number {
    this.align(4);
    const [a, b, c, d] = [this.byte(), this.byte(), this.byte(), this.byte()];
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }

  #text(length: number): string {
    const end = this.#at + length;
    if (end >= this.#bytes.length) throw new DbusFormatError("a message ends too early");
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 1; // a zero byte follows
    return text;
  }
}

function padded(length: number, boundary: number): number {
  return Math.ceil(length / boundary) * boundary;
}
