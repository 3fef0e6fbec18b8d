import { type Kysely, type RawBuilder, sql } from "kysely";
import { ORDERS_KEPT_MS } from "../ledger/ledger.ts";
import type { LedgerTables } from "../database/tables.ts";

const DAY_MS = 24 * 3_600_000;
/** How long it is remembered where a tag points, or that a manifest was given, after that was last seen. */
const SEEN_KEPT_MS = 30 * DAY_MS;
/** How long it is remembered what a tag has pointed to, after that was told last. */
const HISTORY_KEPT_MS = 90 * DAY_MS;
/** How long a replica that is gone is remembered: so long, it finds when it comes back what it has heard. */
const REPLICAS_KEPT_MS = 7 * DAY_MS;
/** Rows that one statement reads. */
const PAGE = 5000;
/** In the table of leaders: whoever has it tidies, once. */
const ROLE = "tidying";

/** What is old in a table, by the end of the time for which it counts. */
interface Old {
  readonly table: Exclude<keyof LedgerTables, "leaders" | "schema_version">;
  readonly key: readonly string[];
  readonly time: string;
  readonly keptMs: number;
}

const OLD: readonly Old[] = [
  { table: "tags", key: ["upstream", "repository", "tag"], time: "checked", keptMs: SEEN_KEPT_MS },
  {
    table: "tag_history",
    key: ["upstream", "repository", "tag"],
    time: "seen",
    keptMs: HISTORY_KEPT_MS,
  },
  {
    table: "image_parts",
    key: ["upstream", "repository", "digest", "image"],
    time: "told",
    keptMs: HISTORY_KEPT_MS,
  },
  {
    table: "manifests",
    key: ["upstream", "repository", "digest"],
    time: "seen",
    keptMs: SEEN_KEPT_MS,
  },
  {
    table: "limits",
    key: ["upstream", "host", "account", "kind", "requests"],
    time: "until",
    keptMs: DAY_MS,
  },
  { table: "purges", key: ["id"], time: "at", keptMs: ORDERS_KEPT_MS },
  { table: "pins", key: ["pattern"], time: "at", keptMs: ORDERS_KEPT_MS },
  // One that holds until it is ended has no such time.
  { table: "overrides", key: ["id"], time: "over", keptMs: ORDERS_KEPT_MS },
  { table: "replicas", key: ["id"], time: "expires", keptMs: REPLICAS_KEPT_MS },
];

/**
 * Removes what is old, unless a replica did so less than a day ago. Each statement reads a few thousand rows, and
 * locks only those that it removes.
 */
export async function tidyDaily(db: Kysely<LedgerTables>, replica: string): Promise<void> {
  if (!(await takeTurn(db, replica))) return;
  for (const old of OLD) await removeOld(db, old);
}

async function takeTurn(db: Kysely<LedgerTables>, replica: string): Promise<boolean> {
  const { rows } = await sql`
    insert into leaders as known (role, holder, fence, expires)
    values (${ROLE}, ${replica}, 1, clock_timestamp() + interval '1 day')
    on conflict (role) do update set
      holder = excluded.holder, fence = known.fence + 1, expires = excluded.expires
    where known.expires < clock_timestamp()
    returning 1
  `.execute(db);
  return rows.length > 0;
}

async function removeOld(
  db: Kysely<LedgerTables>,
  { table, key, time, keptMs }: Old,
): Promise<void> {
  const columns = sql.join(key.map((column) => sql.ref(column)));
  // A pin that holds is never old.
  const mayGo = table === "pins" ? sql`not is_pinned` : sql`true`;
  let last: readonly string[] | undefined = key.map(() => "");
  while (last) {
    const after: RawBuilder<unknown> = sql.join(last.map((part) => sql`${part}::text`));
    const { rows } = await sql<{ position: string[] }>`
      with page as (
        select ${columns}, ${sql.ref(time)} as time, row_number() over (order by ${columns}) as number
        from (
          select * from ${sql.table(table)} where (${columns}) > (${after}) order by ${columns} limit ${PAGE}
        ) as part
      ), gone as (
        delete from ${sql.table(table)} using page
        where (${sql.join(key.map((column) => sql.ref(`${table}.${column}`)))})
          = (${sql.join(key.map((column) => sql.ref(`page.${column}`)))})
          and page.time < clock_timestamp() - ${keptMs}::float8 * interval '1 ms'
          and ${sql.ref(`${table}.${time}`)} = page.time and ${mayGo}
      )
      select array[${columns}] as position from page where number = ${PAGE}
    `.execute(db);
    last = rows[0]?.position;
  }
}
