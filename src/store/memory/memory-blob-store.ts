import { type Digest, digestAlgorithm, digestOf, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobEntry, BlobStore, BlobWriter, PartialEntry, StoredBlob } from "../blob-store.ts";
import { parsePartialName, partialName, type PartialName } from "../partial-name.ts";

/** A `BlobStore` in memory, for the tests of other modules. */
export class MemoryBlobStore implements BlobStore {
  readonly #stored = new Map<Digest, { readonly bytes: Blob; readonly storedAt: number }>();
  readonly #partials = new Map<PartialName, Uint8Array<ArrayBuffer>>();
  readonly #openWriters = new Set<PartialName>();

  async open(digest: Digest): Promise<StoredBlob | undefined> {
    const found = this.#stored.get(digest);
    return found && { digest, size: found.bytes.size, bytes: found.bytes };
  }

  readFailed(): boolean {
    return false;
  }

  async writer(digest: Digest, owner = ""): Promise<BlobWriter> {
    const name = partialName(digest, owner);
    if (this.#openWriters.has(name)) throw new Error(`${name} already has a writer`);
    this.#openWriters.add(name);
    const partial = this.#partials.get(name);
    this.#partials.delete(name);
    return new MemoryBlobWriter(digest, partial ?? new Uint8Array(), (outcome, bytes) => {
      this.#openWriters.delete(name);
      if (outcome === "suspend") this.#partials.set(name, bytes);
      if (outcome === "commit") {
        this.#stored.set(digest, { bytes: new Blob([bytes]), storedAt: Date.now() });
      }
    });
  }

  async remove(digest: Digest): Promise<boolean> {
    return this.#stored.delete(digest);
  }

  async *entries(): AsyncGenerator<BlobEntry> {
    for (const [digest, { bytes, storedAt }] of this.#stored) {
      yield { digest, size: bytes.size, storedAt };
    }
  }

  async *partials(): AsyncGenerator<PartialEntry> {
    for (const [text, { byteLength }] of this.#partials) {
      const partial = parsePartialName(text);
      if (partial) yield { ...partial, size: byteLength, storedAt: 0 };
    }
  }

  async removePartial(name: PartialName): Promise<boolean> {
    if (this.#openWriters.has(name)) return false;
    this.#partials.delete(name);
    return true;
  }

  quarantine(digest: Digest): Promise<boolean> {
    return this.remove(digest);
  }
}

type Outcome = "commit" | "suspend" | "discard";

class MemoryBlobWriter implements BlobWriter {
  readonly digest: Digest;
  readonly #onEnd: (outcome: Outcome, bytes: Uint8Array<ArrayBuffer>) => void;
  #bytes: Uint8Array<ArrayBuffer>;
  #isVerified: boolean | undefined;
  #outcome: Outcome | undefined;

  constructor(
    digest: Digest,
    bytes: Uint8Array<ArrayBuffer>,
    end: (outcome: Outcome, bytes: Uint8Array<ArrayBuffer>) => void,
  ) {
    this.digest = digest;
    this.#bytes = bytes;
    this.#onEnd = end;
  }

  get length(): number {
    return this.#bytes.byteLength;
  }

  async reserve(): Promise<void> {}

  async append(chunk: Uint8Array): Promise<void> {
    this.#requireUnfinished("append to");
    if (this.#isVerified !== undefined) {
      throw new Error(`cannot append to ${this.digest}: its writer is verified`);
    }
    const longer = new Uint8Array(this.#bytes.byteLength + chunk.byteLength);
    longer.set(this.#bytes);
    longer.set(chunk, this.#bytes.byteLength);
    this.#bytes = longer;
  }

  async read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (first < 0 || end < first || end > this.length) {
      throw new RangeError(`bytes ${first} to ${end} are not in 0 to ${this.length}`);
    }
    if (this.#outcome === "suspend" || this.#outcome === "discard") {
      throw new Fault({ kind: "cancelled", reason: `writing ${this.digest} was abandoned` });
    }
    return this.#bytes.slice(first, end);
  }

  verify(): boolean {
    this.#isVerified ??= digestOf(this.#bytes, digestAlgorithm(this.digest)) === this.digest;
    return this.#isVerified;
  }

  prefix(): { length: number; hasher: Bun.CryptoHasher } {
    return { length: this.length, hasher: newHasher(this.digest).update(this.#bytes) };
  }

  async commit(): Promise<StoredBlob> {
    this.#requireUnfinished("commit");
    if (!this.#isVerified) throw new Error(`cannot commit ${this.digest}: it is not verified`);
    this.#finish("commit");
    return { digest: this.digest, size: this.length, bytes: new Blob([this.#bytes]) };
  }

  async suspend(): Promise<void> {
    this.#requireUnfinished("suspend");
    this.#finish(this.#isVerified === false || this.length === 0 ? "discard" : "suspend");
  }

  async discard(): Promise<void> {
    this.#requireUnfinished("discard");
    this.#finish("discard");
  }

  #finish(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#onEnd(outcome, this.#bytes);
  }

  #requireUnfinished(action: string): void {
    if (this.#outcome === undefined) return;
    throw new Error(`cannot ${action} ${this.digest}: its writer has ended`);
  }
}
