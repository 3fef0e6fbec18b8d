import { type Digest, digestAlgorithm, digestOf, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobEntry, BlobStore, BlobWriter, PartialEntry, StoredBlob } from "../blob-store.ts";
import { type Extent, ExtentMap } from "../extents.ts";
import { parsePartialName, partialName, type PartialName } from "../partial-name.ts";

/** A `BlobStore` in memory, for the tests of other modules. */
export class MemoryBlobStore implements BlobStore {
  readonly #stored = new Map<Digest, { readonly bytes: Blob; readonly storedAt: number }>();
  readonly #partials = new Map<PartialName, Draft>();
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
    return new MemoryBlobWriter(digest, partial, (outcome, draft) => {
      this.#openWriters.delete(name);
      if (outcome === "suspend") this.#partials.set(name, draft);
      if (outcome === "commit") {
        this.#stored.set(digest, { bytes: new Blob([draft.bytes]), storedAt: Date.now() });
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
    for (const [text, { bytes, ahead }] of this.#partials) {
      const partial = parsePartialName(text);
      if (partial) yield { ...partial, size: bytes.byteLength + ahead.bytes, storedAt: 0 };
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

/** What was appended, and what was written ahead of it, in an array as long as all of that needs. */
interface Draft {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sparse: Uint8Array<ArrayBuffer>;
  readonly ahead: ExtentMap;
}

type Outcome = "commit" | "suspend" | "discard";

class MemoryBlobWriter implements BlobWriter {
  readonly digest: Digest;
  readonly #onEnd: (outcome: Outcome, draft: Draft) => void;
  readonly #ahead: ExtentMap;
  #bytes: Uint8Array<ArrayBuffer>;
  #sparse: Uint8Array<ArrayBuffer>;
  #isVerified: boolean | undefined;
  #outcome: Outcome | undefined;

  constructor(
    digest: Digest,
    draft: Draft | undefined,
    end: (outcome: Outcome, draft: Draft) => void,
  ) {
    this.digest = digest;
    this.#bytes = draft?.bytes ?? new Uint8Array();
    this.#sparse = draft?.sparse ?? new Uint8Array();
    this.#ahead = new ExtentMap(draft?.ahead);
    this.#onEnd = end;
  }

  get length(): number {
    return this.#bytes.byteLength;
  }

  async reserve(): Promise<void> {}

  async append(chunk: Uint8Array): Promise<void> {
    this.#requireOpen();
    const [before, end] = [this.length, this.length + chunk.byteLength];
    let { buffer } = this.#bytes;
    if (end > buffer.byteLength) {
      // Twice as much: a chunk at a time, all before it would be copied for each.
      const longer = new Uint8Array(Math.max(end, 2 * before));
      longer.set(this.#bytes);
      ({ buffer } = longer);
    }
    this.#bytes = new Uint8Array(buffer, 0, end);
    this.#bytes.set(chunk, before);
    this.#ahead.removeBefore(end);
  }

  get ahead(): readonly Extent[] {
    return [...this.#ahead];
  }

  get written(): number {
    return this.length + this.#ahead.bytes;
  }

  async writeAhead(first: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#requireOpen();
    if (first < this.length) throw new RangeError(`byte ${first} is not ahead of ${this.length}`);
    const bytes = Buffer.concat(chunks);
    const sparse = new Uint8Array(Math.max(this.#sparse.byteLength, first + bytes.byteLength));
    sparse.set(this.#sparse);
    sparse.set(bytes, first);
    this.#sparse = sparse;
    this.#ahead.add(first, first + bytes.byteLength);
  }

  async absorb(): Promise<boolean> {
    const end = this.#ahead.endFrom(this.length);
    if (end === this.length) return false;
    await this.append(this.#sparse.subarray(this.length, end));
    return true;
  }

  async read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const isThere = end <= this.length || end <= this.#ahead.endFrom(first);
    if (first < 0 || end < first || !isThere) {
      throw new RangeError(`bytes ${first} to ${end} are not in 0 to ${this.length}`);
    }
    if (this.#outcome === "suspend" || this.#outcome === "discard") {
      throw new Fault({ kind: "cancelled", reason: `writing ${this.digest} was abandoned` });
    }
    return end <= this.length ? this.#bytes.slice(first, end) : this.#sparse.slice(first, end);
  }

  verify(): boolean {
    this.#isVerified ??= digestOf(this.#bytes, digestAlgorithm(this.digest)) === this.digest;
    return this.#isVerified;
  }

  get resumable(): number {
    return this.length;
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
    this.#finish(this.#isVerified === false || this.written === 0 ? "discard" : "suspend");
  }

  async discard(): Promise<void> {
    this.#requireUnfinished("discard");
    this.#finish("discard");
  }

  #finish(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#onEnd(outcome, { bytes: this.#bytes, sparse: this.#sparse, ahead: this.#ahead });
  }

  #requireOpen(): void {
    this.#requireUnfinished("append to");
    if (this.#isVerified === undefined) return;
    throw new Error(`cannot append to ${this.digest}: its writer is verified`);
  }

  #requireUnfinished(action: string): void {
    if (this.#outcome === undefined) return;
    throw new Error(`cannot ${action} ${this.digest}: its writer has ended`);
  }
}
