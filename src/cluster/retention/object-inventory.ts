import type { Digest } from "../../oci/digest.ts";
import type { SharedObject, SharedStore } from "../shared-store/shared-store.ts";
import {
  type Leadership,
  MAX_OBJECTS,
  type ObjectNews,
  type ObjectUpkeep,
} from "../objects/object-ledger.ts";
import type { Reconciled, SharedRetentionEvents } from "./retention-events.ts";

/** How often the store is listed as a whole, in milliseconds: once a day. */
const INTERVAL_MS = 24 * 3_600_000;
/** Pages of a list in one round: two million objects take an hour, beside everything else. */
const PAGES_PER_ROUND = 20;
/** Objects that a list lacks are looked at one by one: so many of them in one inventory, and at once. */
const MAX_CHECKED = 100_000;
const CHECKED_AT_ONCE = 8;
/** Of a list that lacks so many objects that the store has, nothing is believed but what it shows. */
const MAX_CONCEALED = 100;

export interface ObjectInventoryOptions {
  readonly objects: ObjectUpkeep & Pick<ObjectNews, "lost">;
  readonly store: Pick<SharedStore, "list" | "size">;
  readonly leadership: Leadership;
  readonly events: Pick<SharedRetentionEvents, "listed">;
  /** Objects in a page; at most, and by default, `MAX_OBJECTS`. */
  readonly page?: number;
  readonly pagesPerRound?: number;
  /** The current time, in milliseconds since the epoch. */
  readonly now?: () => number;
}

type Counts = { -readonly [Name in keyof Reconciled]: Reconciled[Name] };

/**
 * Compares a list of the shared store with the ledger, once a day. What no row knows is adopted with its date and
 * evicted in its turn, never deleted for being unknown: a replica may have put it a moment ago, or while the
 * ledger was away. What the list lacks is looked at before it is believed to be lost, since lists may be old or
 * incomplete. It goes on where it was, under another leader too.
 */
export class ObjectInventory {
  readonly #options: ObjectInventoryOptions;
  #counts: Counts = noCounts();
  #checked = 0;

  constructor(options: ObjectInventoryOptions) {
    this.#options = options;
  }

  /** Lists some more, where a list is due. Does nothing while another replica leads. */
  async round(signal: AbortSignal): Promise<void> {
    const { objects, pagesPerRound = PAGES_PER_ROUND } = this.#options;
    if (!this.#isLeading) return;
    const { doneAgo = Infinity, position } = await objects.progress("list");
    if (position === undefined && doneAgo < INTERVAL_MS) return;
    // Only this class writes it.
    let last = position as Digest | undefined;
    for await (const page of this.#pages(last, pagesPerRound, signal)) {
      if (!this.#isLeading) return;
      const isLast = page.length < this.#pageSize;
      await this.#compare(last, page, isLast, signal);
      last = page.at(-1)?.digest;
      if (isLast) return this.#end();
      await objects.advance("list", last);
    }
  }

  get #isLeading(): boolean {
    return this.#options.leadership.fence !== undefined;
  }

  get #pageSize(): number {
    return this.#options.page ?? MAX_OBJECTS;
  }

  async #end(): Promise<void> {
    const { objects, events } = this.#options;
    await objects.recount();
    await objects.advance("list");
    events.listed({ ...this.#counts });
    this.#counts = noCounts();
    this.#checked = 0;
  }

  /** Pages of the list; the last one has fewer objects than the others, or none. */
  async *#pages(
    after: Digest | undefined,
    limit: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly SharedObject[]> {
    let page: SharedObject[] = [];
    let count = 0;
    for await (const object of this.#options.store.list(after, signal)) {
      page.push(object);
      if (page.length < this.#pageSize) continue;
      yield page;
      page = [];
      count += 1;
      if (count >= limit) return;
    }
    yield page;
  }

  async #compare(
    after: Digest | undefined,
    page: readonly SharedObject[],
    isLast: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { objects, now = Date.now } = this.#options;
    const at = now();
    const listed = page.map(({ digest, size, storedAt }) => ({
      digest,
      size,
      // A clock that differs makes an object seem younger or older by as much: S3 refuses requests from 15 minutes on.
      storedAgo: Math.max(0, at - storedAt),
    }));
    this.#counts.listed += page.length;
    if (page.length > 0) this.#counts.adopted += await objects.adopt(listed);
    const until = isLast ? undefined : page.at(-1)?.digest;
    const digests = page.map(({ digest }) => digest);
    // Where a list ends too early, there may be many.
    let last = after;
    while (this.#mayCheck) {
      const suspects = await objects.unlisted(last, until, digests);
      await this.#check(suspects, signal);
      if (suspects.length < MAX_OBJECTS) return;
      last = suspects.at(-1);
    }
  }

  get #mayCheck(): boolean {
    const { concealed } = this.#counts;
    return this.#isLeading && concealed <= MAX_CONCEALED && this.#checked < MAX_CHECKED;
  }

  /** Looks whether the store has objects that a list lacks. */
  async #check(suspects: readonly Digest[], signal: AbortSignal): Promise<void> {
    const { objects, store } = this.#options;
    for (let first = 0; first < suspects.length; first += CHECKED_AT_ONCE) {
      if (!this.#mayCheck) return;
      const some = suspects.slice(first, first + CHECKED_AT_ONCE);
      const since = performance.now();
      const sizes = await Promise.all(some.map((digest) => store.size(digest, signal)));
      const lost = some.filter((_, at) => sizes[at] === undefined);
      const age = performance.now() - since;
      if (lost.length > 0) await objects.lost(new Map(lost.map((digest) => [digest, age])));
      this.#checked += some.length;
      this.#counts.lost += lost.length;
      this.#counts.concealed += some.length - lost.length;
    }
  }
}

function noCounts(): Counts {
  return { listed: 0, adopted: 0, lost: 0, concealed: 0 };
}
