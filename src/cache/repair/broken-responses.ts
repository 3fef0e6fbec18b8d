import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import type { SecondLooks } from "./second-looks.ts";

/** What is read from where a client asks for the rest, in bytes. */
const AFTER = 128 * 1024;
/** Where a response broke off is known to be at most this far before where it seems to be, in bytes. */
const BEFORE = 1024 * 1024;
/** How many blobs wait for a look: clients that leave are many, and their blobs are sound. */
const MAX_WAITING = 16;
/** A blob is looked at this often in this time, in milliseconds. */
const LOOKS = 4;
const LOOKS_IN_MS = 10_000;
/** A client that asks for the same blob again within this time may not have got it, in milliseconds. */
const REPEATED_IN_MS = 60_000;
/** So many responses that broke off somewhere, in so many milliseconds, have the whole blob read. */
const SUSPICIOUS = 3;
const SUSPICIOUS_IN_MS = 600_000;

/** A part of a blob, in bytes. */
interface Part {
  readonly first: number;
  readonly length: number;
}

/** A response from a blob's file that ended before all of it was sent. */
export interface BrokenResponse {
  readonly digest: Digest;
  /** Where in the blob the body began, and about where it broke off, in bytes. */
  readonly first: number;
  readonly at: number;
  /** Whether `at` is where the last read ended. It is an estimate if others were sent meanwhile. */
  readonly isExact: boolean;
}

/**
 * Tells a disk that failed in the middle of a response from a client that left: the place at which it
 * broke off is read again. Of any number of clients that leave, only a few cause a read.
 */
export class BrokenResponses {
  readonly #looks: Pick<SecondLooks, "lookAt" | "verifySoon">;
  readonly #looking = new Map<Digest, Promise<void>>();
  readonly #recentLooks = new LRUCache<Digest, number>({ max: 1024, ttl: LOOKS_IN_MS });
  readonly #inexact = new LRUCache<Digest, number>({ max: 1024, ttl: SUSPICIOUS_IN_MS });
  /** Of each blob that is sent from its file, the last client. */
  readonly #lastClients = new LRUCache<Digest, string>({ max: 1024, ttl: REPEATED_IN_MS });
  /** One at a time. */
  #last: Promise<void> = Promise.resolve();

  constructor(looks: Pick<SecondLooks, "lookAt" | "verifySoon">) {
    this.#looks = looks;
  }

  /** A blob is sent to a client from its file. */
  sentTo(digest: Digest, client: string): void {
    this.#lastClients.set(digest, client);
  }

  /**
   * A client asks for a blob, or for its bytes from `first` on. Where the same client was sent it a
   * moment ago, that may be since it broke off: then a look is begun.
   *
   * @returns the look at the blob that is in progress, for which the request had better wait
   */
  askedFor(digest: Digest, client: string, first: number): Promise<void> | undefined {
    if (this.#lastClients.get(digest) === client) {
      this.#lastClients.delete(digest);
      if (first > 0) this.#lookAt(digest, [{ first, length: AFTER }]);
      else this.#count(digest);
    }
    return this.#looking.get(digest);
  }

  /** A response ended before all was sent, and its client was not seen leaving. */
  brokeOff({ digest, first, at, isExact }: BrokenResponse): void {
    if (!isExact) this.#count(digest);
    const from = Math.max(first, at - BEFORE);
    const parts = [{ first: from, length: at - from + AFTER }];
    // A client that asks for the rest begins exactly where the last response broke off.
    if (!isExact && first > 0) parts.push({ first, length: AFTER });
    this.#lookAt(digest, parts);
  }

  #lookAt(digest: Digest, parts: readonly Part[]): void {
    const looks = this.#recentLooks.get(digest) ?? 0;
    if (looks >= LOOKS || this.#looking.has(digest) || this.#looking.size >= MAX_WAITING) return;
    this.#recentLooks.set(digest, looks + 1, { noUpdateTTL: true });
    this.#last = this.#look(digest, parts, this.#last);
    this.#looking.set(digest, this.#last);
  }

  async #look(digest: Digest, parts: readonly Part[], before: Promise<void>): Promise<void> {
    await before;
    for (const { first, length } of parts) await this.#looks.lookAt(digest, first, length);
    this.#looking.delete(digest);
  }

  #count(digest: Digest): void {
    const count = (this.#inexact.get(digest) ?? 0) + 1;
    this.#inexact.set(digest, count, { noUpdateTTL: true });
    if (count === SUSPICIOUS) this.#looks.verifySoon(digest);
  }
}
