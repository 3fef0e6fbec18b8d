import { type Digest, digestAlgorithm, digestHex } from "../../oci/digest.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { BlobRecords } from "../../store/metadata-store.ts";

/** Blobs per metadata query. */
const PAGE_SIZE = 256;
/** Hexadecimal digits of a digest that a key has. With a bit for the algorithm, a double holds them exactly. */
const KEY_DIGITS = 13;
const SHA512 = 16 ** KEY_DIGITS;

/** A blob's digest as a number, shared by blobs whose digests begin with the same 52 bits. */
export type BlobKey = number & { readonly brand: unique symbol };

/**
 * Eight marks for each blob that was stored at one moment, in nine bytes: of a million blobs, sets of digests
 * would take hundreds of megabytes. Other blobs cannot be marked.
 *
 * Two blobs share their marks if their digests begin with the same 52 bits. That happens by chance once in
 * 9,000 stores of a million blobs, and whoever makes such blobs on purpose must gain nothing from it.
 */
export class BlobMarks {
  /** Ascending, in pages that are full except for the last one. */
  readonly #keys: Float64Array[] = [];
  readonly #marks: Uint8Array[] = [];
  #count = 0;

  /** Marks for the blobs that are stored now. */
  static async read(blobs: Pick<BlobRecords, "page">): Promise<BlobMarks> {
    const marks = new BlobMarks();
    const yielder = new EventLoopYielder();
    let last: Digest | undefined;
    for (;;) {
      const page = await blobs.page(PAGE_SIZE, last);
      last = page.at(-1)?.digest;
      if (last === undefined) return marks;
      // The order of digests as text is that of their keys.
      marks.#keys.push(Float64Array.from(page, ({ digest }) => blobKey(digest)));
      marks.#marks.push(new Uint8Array(page.length));
      marks.#count += page.length;
      if (page.length < PAGE_SIZE) return marks;
      await yielder.pause();
    }
  }

  /** Whether a blob can be marked. */
  knows(blob: Digest | BlobKey): boolean {
    return this.#find(blob) !== undefined;
  }

  /** Whether a blob has a mark. */
  has(blob: Digest | BlobKey, mark: number): boolean {
    const at = this.#find(blob);
    if (at === undefined) return false;
    return ((this.#marks[Math.floor(at / PAGE_SIZE)]?.[at % PAGE_SIZE] ?? 0) & mark) !== 0;
  }

  /** Adds a mark. Returns whether the blob had none of it yet; false if it cannot be marked. */
  add(blob: Digest | BlobKey, mark: number): boolean {
    const at = this.#find(blob);
    const page = at === undefined ? undefined : this.#marks[Math.floor(at / PAGE_SIZE)];
    if (at === undefined || page === undefined) return false;
    const before = page[at % PAGE_SIZE] ?? 0;
    page[at % PAGE_SIZE] = before | mark;
    return (before & mark) === 0;
  }

  #find(blob: Digest | BlobKey): number | undefined {
    const key = typeof blob === "number" ? blob : blobKey(blob);
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#keyAt(middle) < key) low = middle + 1;
      else high = middle;
    }
    return low < this.#count && this.#keyAt(low) === key ? low : undefined;
  }

  #keyAt(at: number): number {
    return this.#keys[Math.floor(at / PAGE_SIZE)]?.[at % PAGE_SIZE] ?? Infinity;
  }
}

export function blobKey(digest: Digest): BlobKey {
  const key = Number.parseInt(digestHex(digest).slice(0, KEY_DIGITS), 16);
  // Only this function makes keys.
  return (digestAlgorithm(digest) === "sha512" ? SHA512 + key : key) as BlobKey;
}
