import { type Kysely, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import { KEPT_MS, type ObjectNews, type StoredObject, USE_STEP_MS } from "./object-ledger.ts";

/** What is evicted again before it is of use: the use of the object that was evicted last. */
export const HORIZON = "evicted";

/**
 * What every replica tells and asks of the shared store's objects, in PostgreSQL. Rows are locked in the order of
 * their digests, in every statement, so that none waits for another in a circle. `statement_timestamp()`
 * is used where an index has to find a time, for which `clock_timestamp()` is too volatile.
 */
export class SqlObjectNews<Tables> implements ObjectNews {
  protected readonly db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.db = db;
  }

  async claim(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    // A row that is being changed is waited for, and what it is then counts: a snapshot would be too old.
    const { rows } = await sql<{ digest: Digest }>`
      with found as (
        select digest, deleting_since, going_since from objects
        where digest = any(${digests}::text[]) order by digest for no key update
      ), claimed as (
        update objects as object set going_since = null, used = clock_timestamp() from found
        where object.digest = found.digest and found.deleting_since is null
          and found.going_since is not null
      )
      select digest from found where deleting_since is not null
    `.execute(this.db);
    return digestsOf(rows);
  }

  async stored(objects: readonly StoredObject[]): Promise<void> {
    await sql`
      insert into objects as object (digest, size, stored, used)
      select distinct on (digest) digest, size,
        clock_timestamp() - greatest(stored_ago, 0) * interval '1 ms',
        clock_timestamp() - greatest(used_ago, 0) * interval '1 ms'
      from unnest(
        ${objects.map(({ digest }) => digest)}::text[],
        ${objects.map(({ size }) => size)}::int8[],
        ${objects.map(({ storedAgo }) => storedAgo)}::float8[],
        ${objects.map(usedAgoOf)}::float8[]
      ) as told (digest, size, stored_ago, used_ago)
      order by digest, stored_ago
      on conflict (digest) do update set
        size = excluded.size,
        stored = greatest(object.stored, excluded.stored),
        used = greatest(object.used, excluded.used),
        going_since = null
      where object.deleting_since is null
    `.execute(this.db);
  }

  async lost(seenAgo: ReadonlyMap<Digest, number>): Promise<void> {
    await sql`
      with told as (
        select digest, clock_timestamp() - greatest(age, 0) * interval '1 ms' as moment
        from unnest(
          ${[...seenAgo.keys()]}::text[], ${[...seenAgo.values()]}::float8[]
        ) as seen (digest, age)
      ), found as (
        select object.digest from objects as object join told on told.digest = object.digest
        where object.deleting_since is null and object.stored < told.moment
        order by object.digest for update of object
      )
      delete from objects as object using found where object.digest = found.digest
    `.execute(this.db);
  }

  async used(ages: ReadonlyMap<Digest, number>): Promise<void> {
    await sql`
      with told as (
        select digest, clock_timestamp() - greatest(age, 0) * interval '1 ms' as moment
        from unnest(${[...ages.keys()]}::text[], ${[...ages.values()]}::float8[]) as use (digest, age)
      ), found as (
        select object.digest, told.moment from objects as object
        join told on told.digest = object.digest
        where object.deleting_since is null and (
          object.used < told.moment - ${USE_STEP_MS}::float8 * interval '1 ms'
          or object.going_since is not null and object.used < told.moment
        )
        order by object.digest for no key update of object
      )
      update objects as object set used = found.moment, going_since = null from found
      where object.digest = found.digest and object.deleting_since is null
    `.execute(this.db);
  }

  async wanted(ages: ReadonlyMap<Digest, number>): Promise<ReadonlySet<Digest>> {
    const { rows } = await sql<{ digest: Digest }>`
      select digest
      from unnest(${[...ages.keys()]}::text[], ${[...ages.values()]}::float8[]) as own (digest, age)
      where not exists (select from objects where objects.digest = own.digest)
        and not exists (
          select from upkeep where task = ${HORIZON}
            and done >= clock_timestamp() - own.age * interval '1 ms'
        )
    `.execute(this.db);
    return digestsOf(rows);
  }

  async staying(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const { rows } = await sql<{ digest: Digest }>`
      select digest from objects
      where digest = any(${digests}::text[]) and going_since is null
    `.execute(this.db);
    return digestsOf(rows);
  }

  async keep(digests: readonly Digest[]): Promise<void> {
    // Several replicas say so of the same objects: half of the time goes by before one is written again.
    await sql`
      with found as (
        select digest from objects
        where digest = any(${digests}::text[]) and deleting_since is null and (
          kept_until is null or going_since is not null
          or kept_until < clock_timestamp() + ${KEPT_MS / 2}::float8 * interval '1 ms'
        )
        order by digest for no key update
      )
      update objects as object set
        kept_until = clock_timestamp() + ${KEPT_MS}::float8 * interval '1 ms', going_since = null
      from found where object.digest = found.digest and object.deleting_since is null
    `.execute(this.db);
  }

  async release(digests: readonly Digest[]): Promise<void> {
    await sql`
      with found as (
        select digest from objects
        where digest = any(${digests}::text[]) and kept_until is not null
        order by digest for no key update
      )
      update objects as object set kept_until = null from found where object.digest = found.digest
    `.execute(this.db);
  }
}

function usedAgoOf({ storedAgo, usedAgo = storedAgo }: StoredObject): number {
  return Math.min(storedAgo, usedAgo);
}

export function digestsOf(rows: readonly { readonly digest: Digest }[]): ReadonlySet<Digest> {
  return new Set(rows.map(({ digest }) => digest));
}
