import { sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import {
  type ListedObject,
  MAX_OBJECTS,
  type ObjectLedger,
  type ObjectTotals,
  type Progress,
  type StoredObject,
  type Task,
} from "./object-ledger.ts";
import { ago, SqlObjectEviction } from "./sql-object-eviction.ts";
import { digestsOf } from "./sql-object-news.ts";

/** How long a list of the store may lack an object that was put, in milliseconds. */
const LISTED_AFTER_MS = 3_600_000;
/** Rows that one statement puts in order. */
const TIDIED = 10_000;

/** All of the shared store's objects in PostgreSQL, for the leader and for operators. */
export class SqlObjectLedger<Tables> extends SqlObjectEviction<Tables> implements ObjectLedger {
  async totals(): Promise<ObjectTotals> {
    const { rows } = await sql<{
      here: number;
      here_bytes: number;
      going: number;
      going_bytes: number;
    }>`
      select sum(here)::float8 as here, sum(here_bytes)::float8 as here_bytes,
        sum(going)::float8 as going, sum(going_bytes)::float8 as going_bytes
      from object_totals
    `.execute(this.db);
    const [total] = rows;
    return {
      here: { objects: total?.here ?? 0, bytes: total?.here_bytes ?? 0 },
      going: { objects: total?.going ?? 0, bytes: total?.going_bytes ?? 0 },
    };
  }

  async known(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const { rows } = await sql<{ digest: Digest }>`
      select digest from objects where digest = any(${digests}::text[])
    `.execute(this.db);
    return digestsOf(rows);
  }

  async page(limit: number, last?: Digest): Promise<ListedObject[]> {
    const { rows } = await sql<ListedObject>`
      select digest, size::float8 as size, ${ago("stored")} as "storedAgo", ${ago("used")} as "usedAgo",
        case when deleting_since is not null then 'deleting' when going_since is not null then 'going'
          else 'here' end as state,
        kept_until is not null as "isKept"
      from objects where digest > ${last ?? ""} order by digest limit ${limit}
    `.execute(this.db);
    return rows;
  }

  async adopt(objects: readonly StoredObject[]): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      with adopted as (
        insert into objects (digest, size, stored, used)
        select distinct on (digest) digest, size, moment, moment
        from (
          select digest, size, clock_timestamp() - greatest(ago, 0) * interval '1 ms' as moment
          from unnest(
            ${objects.map(({ digest }) => digest)}::text[],
            ${objects.map(({ size }) => size)}::int8[],
            ${objects.map(({ storedAgo }) => storedAgo)}::float8[]
          ) as listed (digest, size, ago)
        ) as listed
        order by digest on conflict (digest) do nothing returning 1
      )
      select count(*)::float8 as count from adopted
    `.execute(this.db);
    return rows[0]?.count ?? 0;
  }

  async unlisted(
    after: Digest | undefined,
    until: Digest | undefined,
    listed: readonly Digest[],
  ): Promise<Digest[]> {
    const { rows } = await sql<{ digest: Digest }>`
      select digest from objects
      where digest > ${after ?? ""} ${until === undefined ? sql`` : sql`and digest <= ${until}`}
        and digest <> all(${listed}::text[]) and deleting_since is null
        and stored < statement_timestamp() - ${LISTED_AFTER_MS}::float8 * interval '1 ms'
      order by digest limit ${MAX_OBJECTS}
    `.execute(this.db);
    return rows.map(({ digest }) => digest);
  }

  async tidy(): Promise<void> {
    await sql`
      with ended as (
        select digest from objects where kept_until < statement_timestamp()
        order by digest limit ${TIDIED} for no key update
      )
      update objects as object set kept_until = null from ended where object.digest = ended.digest
    `.execute(this.db);
    // A clock that was set back leaves them, and such an object would never become old.
    await sql`
      with future as (
        select digest from objects
        where going_since is null and kept_until is null
          and used > statement_timestamp() + interval '1 minute'
        order by digest limit ${TIDIED} for no key update
      )
      update objects as object set
        used = clock_timestamp(), stored = least(object.stored, clock_timestamp())
      from future where object.digest = future.digest
    `.execute(this.db);
    await sql`
      with future as (
        select digest from objects where going_since > statement_timestamp() + interval '1 minute'
        order by digest limit ${TIDIED} for no key update
      )
      update objects as object set going_since = clock_timestamp(), deleting_since = null, deleter = null
      from future where object.digest = future.digest
    `.execute(this.db);
  }

  async recount(): Promise<void> {
    // In one snapshot, totals and objects tell of the same moment. What they differ by holds later as well.
    await sql`
      with exact as (
        select count(*) filter (where going_since is null) as here,
          coalesce(sum(size) filter (where going_since is null), 0) as here_bytes,
          count(*) filter (where going_since is not null) as going,
          coalesce(sum(size) filter (where going_since is not null), 0) as going_bytes
        from objects
      ), kept as (
        select sum(here) as here, sum(here_bytes) as here_bytes, sum(going) as going,
          sum(going_bytes) as going_bytes
        from object_totals
      )
      update object_totals as total set
        here = total.here + exact.here - kept.here,
        here_bytes = total.here_bytes + exact.here_bytes - kept.here_bytes,
        going = total.going + exact.going - kept.going,
        going_bytes = total.going_bytes + exact.going_bytes - kept.going_bytes
      from exact, kept
      where total.shard = 0 and (
        exact.here <> kept.here or exact.here_bytes <> kept.here_bytes
        or exact.going <> kept.going or exact.going_bytes <> kept.going_bytes
      )
    `.execute(this.patient);
  }

  async progress(task: Task): Promise<Progress> {
    const { rows } = await sql<{ doneAgo: number | null; position: string | null }>`
      select ${ago("done")} as "doneAgo", position from upkeep where task = ${task}
    `.execute(this.db);
    return { doneAgo: rows[0]?.doneAgo ?? undefined, position: rows[0]?.position ?? undefined };
  }

  async advance(task: Task, position?: string): Promise<void> {
    const done = position === undefined ? sql`clock_timestamp()` : sql`null`;
    await sql`
      insert into upkeep as task (task, done, position)
      values (${task}, ${done}, ${position ?? null})
      on conflict (task) do update set
        done = coalesce(excluded.done, task.done), position = excluded.position
    `.execute(this.db);
  }
}
