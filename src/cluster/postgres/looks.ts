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
import type { ServerClock } from "./server-clock.ts";
import type { LedgerTables } from "./tables.ts";

/** Changes that are remembered, since the next look reads some of them again. */
const MAX_REMEMBERED = 10_000;

export interface LooksOptions {
  readonly db: Kysely<LedgerTables>;
  readonly hearing: Hearing;
  readonly clock: () => ServerClock | undefined;
  /** The last look of this replica's run before, by which tags go on that it may know. */
  readonly heardBefore: () => string | undefined;
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

  constructor(options: LooksOptions) {
    this.#options = options;
  }

  /** The last look that heard everything. */
  get cursor(): Cursor | undefined {
    return this.#cursor;
  }

  /** Hears everything that changed until now. Rejects if the database fails. */
  async look(): Promise<void> {
    const { db, hearing, clock } = this.#options;
    const next = await currentCursor(db);
    const found = new Set<string>();
    for await (const { message, key } of changesSince(db, this.#since(next))) {
      if (found.size < MAX_REMEMBERED) found.add(key);
      const parsed = this.#found.has(key) ? undefined : parseMessage(message);
      if (!parsed) continue;
      await hearing.hand(() => {
        const now = clock();
        return now && newsOf(parsed, now);
      });
    }
    this.#cursor = next;
    this.#found = found;
  }

  /**
   * A replica that begins knows no tag that it could have wrong, except those that it had in an earlier run. Orders and
   * limits are few, and concern it whatever it knew.
   *
   * A database that was restored begins to count anew, and what its rows say of transactions means nothing any more.
   */
  #since(next: Cursor): Since {
    const before = this.#options.heardBefore();
    const cursor = this.#cursor ?? (before === undefined ? undefined : parseCursor(before));
    const isRestored = cursor !== undefined && isBefore(next, cursor);
    if (this.#cursor !== undefined && !isRestored)
      return { tags: this.#cursor, orders: this.#cursor, limits: this.#cursor };
    this.#found = new Set();
    const tags = cursor === undefined || isRestored ? next : cursor;
    return { tags, orders: BEGINNING, limits: BEGINNING };
  }
}
