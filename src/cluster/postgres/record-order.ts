import { type Kysely, sql } from "kysely";
import type { Order, OverrideOrder, Preview } from "../ledger/facts.ts";
import { overAt, overrideOfAges } from "../ledger/override-ages.ts";
import { MESSAGES, notifyOf, timeOf } from "../database/message-sql.ts";
import type { LedgerTables } from "../database/tables.ts";

/**
 * Records an order, and notifies of it unless it is known. Of the orders to pin and to unpin a pattern, the one
 * that was given last holds, in whatever order they arrive. It survives a crash of the server.
 *
 * @param now on the server's clock, in milliseconds of the epoch
 */
export async function recordOrder(
  db: Kysely<LedgerTables>,
  by: string,
  order: Order,
  now: number,
): Promise<void> {
  const at = now - order.ageMs;
  const moment = sql`least(${timeOf(sql`${at}::float8`)}, clock_timestamp())`;
  await db.transaction().execute(async (transaction) => {
    await sql`set local synchronous_commit = on`.execute(transaction);
    if (order.kind === "override") return recordOverride(transaction, by, order, { at, now });
    const { id, pattern } = order;
    if (order.kind === "purge") {
      await sql`
        with put as (
          insert into purges (id, pattern, at) values (${id}, ${pattern}, ${moment})
          on conflict (id) do nothing
          returning *
        )
        select ${notifyOf(by, MESSAGES.purges)} from put
      `.execute(transaction);
      return;
    }
    const isPinned = order.kind === "pin";
    const platforms = order.kind === "pin" ? order.platforms : [];
    await sql`
      with put as (
        insert into pins as known (pattern, id, is_pinned, platforms, at)
        values (${pattern}, ${id}, ${isPinned}, ${platforms}::text[], ${moment})
        on conflict (pattern) do update set
          id = excluded.id, is_pinned = excluded.is_pinned, platforms = excluded.platforms,
          at = excluded.at, tx = pg_current_xact_id()
        where known.id <> excluded.id
          and (known.at < excluded.at or known.at > clock_timestamp())
        returning *
      )
      select ${notifyOf(by, MESSAGES.pins)} from put
    `.execute(transaction);
  });
}

/** An end counts, and else the order that was given last. One that is told again replaces none that has not ended. */
async function recordOverride(
  db: Kysely<LedgerTables>,
  by: string,
  { id, override: ages, isAgain = false }: OverrideOrder,
  { at, now }: { readonly at: number; readonly now: number },
): Promise<void> {
  const override = overrideOfAges(ages, now);
  const over = overAt(override) ?? null;
  await sql`
    with put as (
      insert into overrides as known (id, order_id, content, at, is_ended, over)
      values (
        ${override.id}, ${id}, ${JSON.stringify(override)}::text::jsonb,
        least(${timeOf(sql`${at}::float8`)}, clock_timestamp()), ${override.ended !== undefined},
        ${timeOf(sql`${over}::float8`)}
      )
      on conflict (id) do update set
        order_id = excluded.order_id, content = excluded.content, at = excluded.at,
        is_ended = excluded.is_ended, over = excluded.over, tx = pg_current_xact_id()
      where known.order_id <> excluded.order_id and case
        when known.is_ended <> excluded.is_ended then excluded.is_ended
        else not ${isAgain}::boolean and (known.at < excluded.at or known.at > clock_timestamp()) end
      returning *
    )
    select ${notifyOf(by, MESSAGES.overrides)} from put
  `.execute(db);
}

/** Notifies of a question. An older version does not know it, and does not answer. */
export async function askPreview(
  db: Kysely<LedgerTables>,
  by: string,
  { kind, id, pattern }: Preview,
): Promise<void> {
  const message = sql`json_build_object('kind', ${kind}::text, 'id', id, 'pattern', pattern)`;
  await sql`
    select ${notifyOf(by, message)} from (values (${id}::text, ${pattern}::text)) as asked (id, pattern)
  `.execute(db);
}
