import { LRUCache } from "lru-cache";
import type { Upstream } from "../../cache/upstream.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RemovalLog } from "../../store/memory/removal-log.ts";
import type { Route } from "./route.ts";

/** Answers with larger bodies take longer to send than to make. In bytes. */
const LARGEST = 64 * 1024;

/** In bytes, for all bodies with what is kept of each answer besides. */
const MEMORY = 8 * 1024 * 1024;
const OVERHEAD = 2048;

/** Longer addresses are not remembered: memory is not for them. */
const LONGEST_URL = 1024;

/** What was asked, as far as an answer depends on it. */
export interface ResponseKey {
  readonly url: string;
  /**
   * The components after `/v2/`, percent-decoded. Bun's URLs have `..` resolved: one may be equal to
   * an honest request's, and what was sent another.
   */
  readonly segments: readonly string[];
  /** The upstream of the port at which it arrived, where it has one. */
  readonly port: Upstream | undefined;
}

/** A whole answer of 200 that was given from here alone. */
export interface CachedResponse {
  readonly route: Route;
  readonly path: string;
  readonly digest: Digest;
  readonly body: Blob | Uint8Array<ArrayBuffer>;
  /** Of the body, in bytes. */
  readonly size: number;
  readonly headers: Headers;
  /** The Accept header that it answers; absent where it would answer all. */
  readonly accept?: string | null;
  /** Milliseconds of the epoch between which it is right: a tag's answer is not for ever. */
  readonly from: number;
  readonly until: number;
}

/** When an answer was made. */
export interface Revision {
  readonly revision: number;
  /** Of the removals. */
  readonly removed: number;
}

interface Kept extends CachedResponse {
  readonly question: ResponseKey;
  readonly moment: Revision;
}

/**
 * Small answers that were given a moment ago, so that giving one again asks nothing at all. Whatever
 * changes what may be seen, and where, makes a new revision, and every answer of an earlier one
 * wrong. A content that goes takes its own answers with it: while a store evicts, one goes all the
 * time.
 */
export class ResponseCache {
  readonly #removals: RemovalLog;
  readonly #revisions: readonly (() => number)[];
  readonly #answers = new LRUCache<string, Kept>({
    maxSize: MEMORY,
    sizeCalculation: ({ size }) => size + OVERHEAD,
  });
  #own = 0;

  /** @param revisions numbers that only grow, each with what it speaks of */
  constructor(removals: RemovalLog, ...revisions: readonly (() => number)[]) {
    this.#removals = removals;
    this.#revisions = revisions;
  }

  /** To be read before an answer is made that is to be kept. */
  get moment(): Revision {
    return { revision: this.#revision, removed: this.#removals.now };
  }

  get #revision(): number {
    // Each only grows: the same sum means that none has changed.
    let sum = this.#own;
    for (const revision of this.#revisions) sum += revision();
    return sum;
  }

  /** @param now milliseconds of the epoch */
  find(question: ResponseKey, accept: string | null, now: number): CachedResponse | undefined {
    const kept = this.#answers.get(question.url);
    if (!kept || !isSame(kept.question, question)) return undefined;
    if (kept.accept !== undefined && kept.accept !== accept) return undefined;
    // Before it, too: a clock that was set back must not make a tag last for ever.
    const isRight = now >= kept.from && now < kept.until && this.#isStill(kept);
    return isRight ? kept : undefined;
  }

  /** @param moment before the answer was made */
  keep(question: ResponseKey, answer: CachedResponse, moment: Revision): void {
    if (answer.size > LARGEST || question.url.length > LONGEST_URL) return;
    const kept = { ...answer, question, moment };
    if (this.#isStill(kept)) this.#answers.set(question.url, kept);
  }

  #isStill({ moment, digest }: Kept): boolean {
    return moment.revision === this.#revision && !this.#removals.since(moment.removed, digest);
  }

  /** What may be answered has changed for a reason that no other revision tells. */
  forget(): void {
    this.#own += 1;
    this.#answers.clear();
  }
}

function isSame(one: ResponseKey, other: ResponseKey): boolean {
  if (one.port !== other.port || one.segments.length !== other.segments.length) return false;
  return one.segments.every((segment, at) => segment === other.segments[at]);
}
