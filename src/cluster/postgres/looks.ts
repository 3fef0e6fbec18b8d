import type { Kysely } from "kysely";
import type { Hearing } from "../ledger/hearing.ts";
import {
  BEGINNING,
  changesSince,
  type Cursor,
  currentCursor,
  isBefore,
  parseCursor,
  type Since,
} from "./changes.ts";
import { newsOf, parseMessage } from "./messages.ts";
import type { ServerClock } from "../database/server-clock.ts";
import type { LedgerTables } from "../database/tables.ts";

/** Changes that are remembered, since the next look reads some of them again. */
const MAX_REMEMBERED = 10_000;

export interface LooksOptions {
  readonly db: Kysely<LedgerTables>;
  readonly hearing: Hearing;
  readonly clock: () => ServerClock | undefined;
  /** The last look of this replica that the database remembered when it was reached again. */
  readonly remembered: () => string | undefined;
}

/**
 * Looks what changed since the last look. A notification may be lost with its connection, and the listener may be dead
 * without a word: nothing depends on one.
 */
export class Looks {
  readonly #options: LooksOptions;
  #cursor: Cursor | undefined;
  /** What the last look has found. */
  #found: ReadonlySet<string> = new Set();
  #hasBegun = false;
  /** Counts how often it has begun again. */
  #beginnings = 0;

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  /** The last look that heard everything since the database was reached; to be remembered by it. */
  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /**
   * The database is reached again. If it has crashed, it may have lost its last transactions, and give their ids
   * to others: then only a look counts that it remembers itself, since it knows of later transactions.
   */
  beginAgain(): void {
    this.#beginnings += 1;
    this.#cursor = undefined;
    this.#found = new Set();
  }

  /** Hears everything that changed until now. Rejects if the database fails. */
  async look(): Promise<void> {
    const { db, hearing, clock } = this.#options;
    const [beginning, isFirst] = [this.#beginnings, !this.#hasBegun];
    // What was told after this one began is not to be missed, whatever becomes of it.
    this.#hasBegun = true;
    const next = await currentCursor(db);
    const found = new Set<string>();
    for await (const { message, key } of changesSince(db, this.#since(next, isFirst))) {
      if (found.size < MAX_REMEMBERED) found.add(key);
      const parsed = this.#found.has(key) ? undefined : parseMessage(message);
      if (!parsed) continue;
      await hearing.hand(() => {
        const now = clock();
        return now && newsOf(parsed, now);
      });
    }
    if (beginning !== this.#beginnings) return;
    this.#cursor = next;
    this.#found = found;
  }

  #since(next: Cursor, isFirst: boolean): Since {
    const remembered = this.#options.remembered();
    const cursor = this.#cursor ?? (remembered === undefined ? undefined : parseCursor(remembered));
    // A database that was restored begins to count anew, and what its rows say of transactions means nothing any more.
    if (cursor !== undefined && isBefore(next, cursor)) return sinceBeginning(next);
    if (this.#cursor !== undefined || !isFirst) {
      const all = cursor ?? BEGINNING;
      return { tags: all, orders: all, limits: all };
    }
    // A replica that begins knows no tag that it could have wrong, except those that it had in an earlier run.
    return sinceBeginning(cursor ?? next);
  }
}

/** Orders and limits are few, and concern a replica whatever it knows. */
function sinceBeginning(tags: Cursor): Since {
  return { tags, orders: BEGINNING, limits: BEGINNING };
}
