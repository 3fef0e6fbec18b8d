import type { Fact } from "./facts.ts";
import { agesOfStays, mergeStays, staysOfAges } from "./stays.ts";

/** A fact that is still to be told. */
export interface Untold {
  readonly fact: Fact;
  /** When it was handed over, by the outbox's clock: it has grown older since. */
  readonly at: number;
}

export interface OutboxOptions {
  /** Tells facts, no two of which are about the same. Rejects if that has to be tried again. */
  readonly tell: (facts: readonly Untold[]) => Promise<void>;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/** The most facts that are kept. */
export const OUTBOX_LIMIT = 4096;
const BATCH = 256;

/**
 * Facts that are to be told, the last one about each thing. Bounded: what does not fit is lost, and that it
 * is can be asked.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  #waiting = new Map<string, Untold>();
  #sending: ReadonlyMap<string, Untold> = new Map();
  #flight: Promise<void> | undefined;
  #hasLost = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** How many facts are still to be told. */
  get size(): number {
    return this.#waiting.size + this.#sending.size;
  }

  add(fact: Fact): void {
    this.#add(keyOf(fact), { fact, at: this.#options.now() });
  }

  /** Tells all facts. One call at a time does so; the others have its result. Rejects if telling does. */
  flush(): Promise<void> {
    this.#flight ??= this.#tellAll().finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  /** Whether facts were lost since it was last asked. */
  takeLoss(): boolean {
    const hasLost = this.#hasLost;
    this.#hasLost = false;
    return hasLost;
  }

  async #tellAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch = new Map(this.#waiting.entries().take(BATCH));
      for (const key of batch.keys()) this.#waiting.delete(key);
      this.#sending = batch;
      let isTold = false;
      try {
        await this.#options.tell([...batch.values()]);
        isTold = true;
      } finally {
        this.#sending = new Map();
        if (!isTold) this.#putBack(batch);
      }
    }
  }

  /** In front, for they are the oldest. */
  #putBack(batch: ReadonlyMap<string, Untold>): void {
    const later = this.#waiting;
    this.#waiting = new Map(batch);
    for (const [key, untold] of later) this.#add(key, untold);
  }

  #add(key: string, untold: Untold): void {
    const before = this.#waiting.get(key);
    if (!before && this.#waiting.size >= OUTBOX_LIMIT) this.#hasLost = true;
    else this.#waiting.set(key, before ? latest(untold, before) : untold);
  }
}

/** What a fact is about. */
function keyOf(fact: Fact): string {
  switch (fact.kind) {
    case "tag":
    case "tag-removed":
      return `tag ${fact.repo.upstream}/${fact.repo.repository}:${fact.tag}`;
    case "seen":
      return `seen ${fact.repo.upstream}/${fact.repo.repository}:${fact.tag}`;
    case "parts":
      return `parts ${fact.repo.upstream}/${fact.repo.repository}@${fact.image}`;
    case "manifest":
      return `manifest ${fact.repo.upstream}/${fact.repo.repository}@${fact.digest}`;
    case "rest":
      return `rest ${fact.requests} ${fact.upstream} ${fact.host} ${fact.account}`;
    case "budget":
      return `budget ${fact.upstream} ${fact.host} ${fact.account}`;
    case "applied":
      return `applied ${fact.order}`;
  }
}

/** What is told of two facts about the same. */
function latest(next: Untold, before: Untold): Untold {
  if (next.fact.kind === "seen" && before.fact.kind === "seen") {
    const at = Math.max(next.at, before.at);
    const known = staysOfAges(before.fact.stays, before.at);
    const stays = mergeStays(known, staysOfAges(next.fact.stays, next.at), at);
    return { fact: { ...next.fact, stays: agesOfStays(stays, at) }, at };
  }
  return replaces(next, before) ? next : before;
}

/** Whether a fact says more than an earlier one about the same. */
function replaces(next: Untold, before: Untold): boolean {
  const [later, earlier] = [next.fact, before.fact];
  if ("leftMs" in later && "leftMs" in earlier) {
    const holds = before.at + earlier.leftMs > next.at;
    if (later.kind === "budget" && earlier.kind === "budget" && holds)
      return later.remaining <= earlier.remaining;
    return next.at + later.leftMs >= before.at + earlier.leftMs;
  }
  if ("ageMs" in later && "ageMs" in earlier)
    return next.at - later.ageMs >= before.at - earlier.ageMs;
  return true;
}
