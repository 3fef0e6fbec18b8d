import { type Kysely, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import {
  DELETION_MS,
  type Fence,
  GRACE_MS,
  KEPT_MS,
  type Mark,
  type ObjectCount,
  type ObjectEviction,
} from "./object-ledger.ts";
import { ROLE } from "./sql-lease.ts";
import { HORIZON, SqlObjectNews } from "./sql-object-news.ts";

/** Of the lock that lets marks be made one after the other: any number, as long as it is always this. */
const MARKING = 1_735_289_201;

/** What is evicted from the shared store, in PostgreSQL. Of its statements, none reads all objects but a dry run's. */
export class SqlObjectEviction<Tables> extends SqlObjectNews<Tables> implements ObjectEviction {
  protected readonly patient: Kysely<Tables>;

  /** @param patient its statements may take minutes: for those that read all objects */
  constructor(db: Kysely<Tables>, patient: Kysely<Tables> = db) {
    super(db);
    this.patient = patient;
  }

  markLeastRecentlyUsed({ above, limit }: Mark): Promise<ObjectCount> {
    return this.db.transaction().execute(async (transaction) => {
      // Two that mark at once would both mark what one should.
      await sql`select pg_advisory_xact_lock(${MARKING}::int8)`.execute(transaction);
      const { rows } = await sql<ObjectCount>`
        with page as (
          select digest, size, used from objects
          where going_since is null and kept_until is null
          order by used, digest limit ${limit} for no key update skip locked
        ), oldest as (
          select digest, sum(size) over (order by used, digest) - size as marked_before from page
        ), marked as (
          update objects as object set going_since = clock_timestamp()
          from oldest, (select sum(here_bytes) as bytes from object_totals) as here
          where object.digest = oldest.digest and object.going_since is null
            and oldest.marked_before < here.bytes - ${above}::float8
          returning object.size, object.used
        ), noted as (
          insert into upkeep (task, done)
          select ${HORIZON}, least(max(used), clock_timestamp()) from marked having count(*) > 0
          on conflict (task) do update set done = greatest(upkeep.done, excluded.done)
        )
        select ${COUNTED} from marked
      `.execute(transaction);
      return rows[0] ?? NONE;
    });
  }

  async countLeastRecentlyUsed(above: number): Promise<ObjectCount> {
    const { rows } = await sql<ObjectCount>`
      with oldest as (
        select size, sum(size) over (order by used, digest) - size as marked_before from objects
        where going_since is null and kept_until is null
      )
      select ${COUNTED} from oldest
      where marked_before < (select sum(here_bytes) from object_totals) - ${above}::float8
    `.execute(this.patient);
    return rows[0] ?? NONE;
  }

  async takeGoing(fence: Fence, limit: number, graceMs = GRACE_MS): Promise<Digest[]> {
    const { rows } = await sql<{ digest: Digest }>`
      with lease as (
        select fence from leaders
        where role = ${ROLE} and fence = ${fence} and expires > clock_timestamp() for share
      ), due as (
        select digest from objects
        where going_since <= statement_timestamp() - ${graceMs}::float8 * interval '1 ms' and (
          deleting_since is null
          or deleting_since < statement_timestamp() - ${DELETION_MS}::float8 * interval '1 ms'
        )
        order by going_since limit ${limit} for no key update skip locked
      )
      update objects as object set deleting_since = clock_timestamp(), deleter = lease.fence
      from due, lease where object.digest = due.digest
      returning object.digest
    `.execute(this.db);
    return rows.map(({ digest }) => digest);
  }

  async takeCorrupt(
    digests: readonly Digest[],
  ): Promise<{ readonly fence: Fence; readonly taken: Digest[] }> {
    const { rows: fences } = await sql<{ fence: Fence }>`
      select nextval('takers')::float8 as fence
    `.execute(this.db);
    const fence = fences[0]?.fence;
    if (fence === undefined) throw new Error("the ledger gave no fence");
    const { rows } = await sql<{ digest: Digest }>`
      with found as (
        select digest from objects
        where digest = any(${digests}::text[]) and (
          deleting_since is null
          or deleting_since < clock_timestamp() - ${DELETION_MS}::float8 * interval '1 ms'
        )
        order by digest for no key update
      )
      update objects as object set
        going_since = coalesce(going_since, clock_timestamp()),
        deleting_since = clock_timestamp(), deleter = ${fence}
      from found where object.digest = found.digest
      returning object.digest
    `.execute(this.db);
    return { fence, taken: rows.map(({ digest }) => digest) };
  }

  async deleted(fence: Fence, digests: readonly Digest[]): Promise<ObjectCount> {
    const { rows } = await sql<ObjectCount>`
      with found as (
        select digest from objects
        where digest = any(${digests}::text[]) and deleter = ${fence} order by digest for update
      ), gone as (
        delete from objects as object using found where object.digest = found.digest
        returning object.size
      )
      select ${COUNTED} from gone
    `.execute(this.db);
    return rows[0] ?? NONE;
  }

  async refused(fence: Fence, digests: readonly Digest[]): Promise<void> {
    await sql`
      with found as (
        select digest from objects
        where digest = any(${digests}::text[]) and deleter = ${fence}
        order by digest for no key update
      )
      update objects as object set
        going_since = null, deleting_since = null, deleter = null,
        kept_until = clock_timestamp() + ${KEPT_MS}::float8 * interval '1 ms'
      from found where object.digest = found.digest
    `.execute(this.db);
  }

  async overdue(): Promise<number> {
    const { rows } = await sql<{ overdue: number }>`
      select greatest(0, coalesce(${ago("min(going_since)")} - ${GRACE_MS}, 0))::float8 as overdue
      from objects where going_since is not null
    `.execute(this.db);
    return rows[0]?.overdue ?? 0;
  }

  async forgetHorizon(): Promise<void> {
    await sql`delete from upkeep where task = ${HORIZON}`.execute(this.db);
  }
}

const NONE: ObjectCount = { objects: 0, bytes: 0 };

const COUNTED = sql`count(*)::float8 as objects, coalesce(sum(size), 0)::float8 as bytes`;

/** SQL: how long ago a moment was, in milliseconds. */
export function ago(moment: string) {
  return sql`(extract(epoch from statement_timestamp() - ${sql.raw(moment)}) * 1000)::float8`;
}
