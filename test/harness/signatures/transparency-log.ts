import { createHash, sign } from "node:crypto";
import { canonicalJson } from "./canonical-json.ts";
import { type KeyPair, newKeys, spki } from "./certificate-maker.ts";

/** An entry as Rekor answers with it. */
export interface LogEntry {
  /** Base64 of the canonical JSON. */
  readonly body: string;
  readonly integratedTime: number;
  /** In hexadecimal. */
  readonly logID: string;
  readonly logIndex: number;
  readonly verification: {
    readonly inclusionProof: {
      readonly checkpoint: string;
      readonly hashes: readonly string[];
      readonly logIndex: number;
      readonly rootHash: string;
      readonly treeSize: number;
    };
    /** Base64. */
    readonly signedEntryTimestamp: string;
  };
}

const EM_DASH = "\u2014";

/** A transparency log like Rekor's first version: a Merkle tree (RFC 6962), whose entries and roots it signs. */
export class TransparencyLog {
  readonly keys: KeyPair = newKeys();
  readonly id = createHash("sha256").update(spki(this.keys.publicKey)).digest();
  readonly #leaves: Buffer[] = [];
  readonly #host: string;
  readonly #now: () => number;

  /** @param host under which it signs its roots */
  constructor(host: string, now: () => number = Date.now) {
    this.#host = host;
    this.#now = now;
    // So that proofs have some hashes.
    for (const text of ["first", "second", "third"]) this.#leaves.push(leafHash(Buffer.from(text)));
  }

  /** @param entry its canonical form */
  add(entry: object, at = this.#now()): LogEntry {
    const bytes = Buffer.from(canonicalJson(entry));
    const logIndex = this.#leaves.push(leafHash(bytes)) - 1;
    const stamped = {
      body: bytes.toString("base64"),
      integratedTime: Math.floor(at / 1000),
      logIndex,
      logID: this.id.toString("hex"),
    };
    const stamp = sign("sha256", Buffer.from(canonicalJson(stamped)), this.keys.privateKey);
    const root = rootOf(this.#leaves);
    const inclusionProof = {
      checkpoint: this.#checkpoint(root),
      hashes: pathTo(logIndex, this.#leaves).map((one) => one.toString("hex")),
      logIndex,
      rootHash: root.toString("hex"),
      treeSize: this.#leaves.length,
    };
    const signedEntryTimestamp = stamp.toString("base64");
    return { ...stamped, verification: { inclusionProof, signedEntryTimestamp } };
  }

  #checkpoint(root: Buffer): string {
    const note = `${this.#host} - 1\n${this.#leaves.length}\n${root.toString("base64")}\n`;
    const signature = sign("sha256", Buffer.from(note), this.keys.privateKey);
    const signed = Buffer.concat([this.id.subarray(0, 4), signature]).toString("base64");
    return `${note}\n${EM_DASH} ${this.#host} ${signed}\n`;
  }
}

function hash(...parts: readonly Uint8Array[]): Buffer {
  const hasher = createHash("sha256");
  for (const part of parts) hasher.update(part);
  return hasher.digest();
}

function leafHash(bytes: Uint8Array): Buffer {
  return hash(Buffer.from([0]), bytes);
}

function rootOf(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (leaves.length === 1 && only) return only;
  const middle = splitOf(leaves.length);
  return hash(Buffer.from([1]), rootOf(leaves.slice(0, middle)), rootOf(leaves.slice(middle)));
}

/** RFC 6962 section 2.1.1. */
function pathTo(index: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length === 1) return [];
  const middle = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, middle), leaves.slice(middle)];
  return index < middle
    ? [...pathTo(index, left), rootOf(right)]
    : [...pathTo(index - middle, right), rootOf(left)];
}

/** The largest power of two below a number. */
function splitOf(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}
