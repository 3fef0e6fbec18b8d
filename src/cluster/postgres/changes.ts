import { type Kysely, type RawBuilder, sql } from "kysely";
import { ORDERS_KEPT_MS } from "../ledger/ledger.ts";
import { MESSAGES } from "../database/message-sql.ts";
import type { LedgerTables } from "../database/tables.ts";

/**
 * The oldest transaction that was still running at a moment. What this one and later ones changed may not have
 * been seen then, and is to be read with the next look: numbers in the order of the changes would skip what was
 * changed earlier and committed later.
 */
export type Cursor = string & { readonly cursor: unique symbol };

/** Of a database in which nothing was seen. */
export const BEGINNING = parseCursor("0");

export function parseCursor(text: string): Cursor {
  if (!/^\d+$/.test(text)) throw new Error(`${text} is not the id of a transaction`);
  // The brand only claims what was checked.
  return text as Cursor;
}

/** Whether a cursor is earlier than another. */
export function isBefore(one: Cursor, other: Cursor): boolean {
  return BigInt(one) < BigInt(other);
}

/** Of what the changes are read. */
export interface Since {
  readonly tags: Cursor;
  readonly orders: Cursor;
  readonly limits: Cursor;
}

/** A change as its row says it: see messages.ts. It may come again with the next look. */
export interface Change {
  readonly message: unknown;
  /** Names the change. */
  readonly key: string;
}

const PAGE = 500;

/** Where the look after the one that begins now is to begin. */
export async function currentCursor(db: Kysely<LedgerTables>): Promise<Cursor> {
  const { rows } = await sql<{ oldest: string }>`
    select pg_snapshot_xmin(pg_current_snapshot())::text as oldest
  `.execute(db);
  return parseCursor(rows[0]?.oldest ?? "");
}

/**
 * What changed since earlier looks. Orders come first, since they are few. Read in pages, without a transaction: what
 * changes meanwhile is read with the next look, if not with this one.
 *
 */
export async function* changesSince(
  db: Kysely<LedgerTables>,
  since: Since,
): AsyncGenerator<Change> {
  const age = sql`at > clock_timestamp() - ${ORDERS_KEPT_MS}::float8 * interval '1 ms'`;
  yield* pagesOf(db, { table: "pins", transaction: "tx", key: ["pattern"], since: since.orders });
  yield* pagesOf(db, {
    table: "purges",
    transaction: "tx",
    key: ["id"],
    since: since.orders,
    where: age,
  });
  yield* pagesOf(db, {
    table: "overrides",
    transaction: "tx",
    key: ["id"],
    since: since.orders,
  });
  yield* pagesOf(db, {
    table: "limits",
    transaction: "tx",
    key: ["upstream", "host", "account", "kind", "requests"],
    since: since.limits,
    where: sql`until > clock_timestamp()`,
  });
  yield* pagesOf(db, {
    table: "tags",
    transaction: "moved",
    key: ["upstream", "repository", "tag"],
    since: since.tags,
  });
}

interface Changed {
  readonly table: keyof typeof MESSAGES;
  /** The column with the transaction of the change. */
  readonly transaction: string;
  readonly key: readonly string[];
  readonly since: Cursor;
  readonly where?: RawBuilder<unknown>;
}

async function* pagesOf(
  db: Kysely<LedgerTables>,
  { table, transaction, key, since, where = sql`true` }: Changed,
): AsyncGenerator<Change> {
  const columns = [transaction, ...key].map((column) => sql.ref(column));
  const order = sql.join(columns);
  // No key begins with an empty part, so this is before all rows of the transaction.
  let last = [since, ...key.map(() => "")];
  for (;;) {
    const [lastTransaction, ...lastKey] = last;
    const { rows } = await sql<{ message: unknown; position: string[] }>`
      select ${MESSAGES[table]} as message,
        array[${sql.join(columns.map((column) => sql`${column}::text`))}] as position
      from ${sql.table(table)}
      where (${order}) > (${lastTransaction}::text::xid8, ${sql.join(lastKey.map((part) => sql`${part}::text`))})
        and ${where}
      order by ${order} limit ${sql.lit(PAGE)}
    `.execute(db);
    for (const { message, position } of rows) {
      yield { message, key: JSON.stringify([table, ...position]) };
      last = position;
    }
    if (rows.length < PAGE) return;
  }
}
