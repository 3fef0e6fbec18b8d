import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import { RateLimiter, type UnreadableBlob } from "../../store/repair/scrub.ts";
import type { SharedObject, SharedStore } from "../shared-store/shared-store.ts";
import { MAX_OBJECTS, type ObjectLedger } from "../objects/object-ledger.ts";

/** What a request counts for the rate limit, in bytes, so that many small objects do not exceed it. */
const REQUEST_COST = 64 * 1024;
/** How many digests of a kind are reported. */
const MAX_REPORTED = 1000;

export interface VerificationOptions {
  readonly store: SharedStore;
  /** Absent where there is no ledger. */
  readonly objects?: ObjectLedger | undefined;
  /** Removes corrupt objects, and corrects the ledger. */
  readonly repair: boolean;
  /** Bytes per second; unlimited by default. */
  readonly rate?: number | undefined;
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
  readonly signal: AbortSignal;
}

/** What was read of a shared store, and what differs from the ledger. */
export interface SharedVerified {
  readonly files: number;
  readonly bytes: number;
  readonly corrupt: readonly Digest[];
  readonly unreadable: readonly UnreadableBlob[];
  /** Objects that the ledger did not know, and objects of the ledger that the store does not have. */
  readonly found: number;
  readonly lost: number;
  readonly repaired: boolean;
}

/**
 * Reads and hashes every object of the shared store, and compares what is there with the ledger. Corrupt objects
 * are removed like evicted ones: nobody puts one anew meanwhile.
 */
export class SharedVerification {
  readonly #options: VerificationOptions;
  readonly #limiter: RateLimiter;
  readonly #corrupt: Digest[] = [];
  readonly #unreadable: UnreadableBlob[] = [];
  #files = 0;
  #bytes = 0;
  #found = 0;
  #lost = 0;

  constructor(options: VerificationOptions) {
    this.#options = options;
    this.#limiter = new RateLimiter(options.rate);
  }

  /** @throws SharedStoreError if the store cannot be listed, or a corrupt object cannot be removed */
  async run(): Promise<SharedVerified> {
    const { store, signal } = this.#options;
    let last: Digest | undefined;
    let page: SharedObject[] = [];
    for await (const object of store.list(undefined, signal)) {
      page.push(object);
      if (page.length < MAX_OBJECTS) continue;
      await this.#verify(page, last, object.digest);
      last = object.digest;
      page = [];
    }
    await this.#verify(page, last, undefined);
    return {
      files: this.#files,
      bytes: this.#bytes,
      corrupt: this.#corrupt,
      unreadable: this.#unreadable,
      found: this.#found,
      lost: this.#lost,
      repaired: this.#options.repair,
    };
  }

  async #verify(
    page: readonly SharedObject[],
    after: Digest | undefined,
    until: Digest | undefined,
  ): Promise<void> {
    await this.#compare(page, after, until);
    const { signal } = this.#options;
    for (const { digest } of page) {
      signal.throwIfAborted();
      const verdict = await this.#read(digest).catch((error: unknown) => {
        signal.throwIfAborted();
        return { reason: error instanceof Error ? error.message : String(error) };
      });
      await this.#limiter.consume(REQUEST_COST, signal);
      if (verdict === "gone") continue;
      this.#files += 1;
      if (verdict === "corrupt") await this.#foundCorrupt(digest);
      else if (verdict !== "intact" && this.#unreadable.length < MAX_REPORTED) {
        this.#unreadable.push({ digest, reason: verdict.reason });
      }
      this.#tellProgress();
    }
  }

  /** Compares a part of the list with the ledger. */
  async #compare(
    page: readonly SharedObject[],
    after: Digest | undefined,
    until: Digest | undefined,
  ): Promise<void> {
    const { objects, store, repair, signal } = this.#options;
    if (!objects) return;
    const listed = page.map(({ digest }) => digest);
    const known = await objects.known(listed);
    const unknown = page.filter(({ digest }) => !known.has(digest));
    this.#found += unknown.length;
    if (repair && unknown.length > 0) {
      await objects.adopt(
        unknown.map(({ digest, size, storedAt }) => ({
          digest,
          size,
          storedAgo: Math.max(0, Date.now() - storedAt),
        })),
      );
    }
    for (const digest of await objects.unlisted(after, until, listed)) {
      const since = performance.now();
      if ((await store.size(digest, signal)) !== undefined) continue;
      this.#lost += 1;
      if (repair) await objects.lost(new Map([[digest, performance.now() - since]]));
    }
  }

  async #read(digest: Digest): Promise<"intact" | "corrupt" | "gone"> {
    const { store, signal } = this.#options;
    const found = await store.read(digest, 0, signal);
    if (!found) return "gone";
    const hasher = newHasher(digest);
    for await (const chunk of found.body) {
      hasher.update(chunk);
      const { byteLength } = chunk;
      this.#bytes += byteLength;
      this.#tellProgress();
      await this.#limiter.consume(byteLength, signal);
    }
    return hasher.digest("hex") === digestHex(digest) ? "intact" : "corrupt";
  }

  async #foundCorrupt(digest: Digest): Promise<void> {
    const { objects, store, repair, signal } = this.#options;
    if (this.#corrupt.length < MAX_REPORTED) this.#corrupt.push(digest);
    if (!repair) return;
    if (!objects) return store.remove([digest], signal);
    // An object that is known to nobody, or is just being deleted, is not taken: it is no different afterwards.
    const { fence, taken } = await objects.takeCorrupt([digest]);
    if (taken.length === 0) return;
    await store.remove(taken, signal);
    await objects.deleted(fence, taken);
  }

  #tellProgress(): void {
    this.#options.onProgress?.({ files: this.#files, bytes: this.#bytes });
  }
}
