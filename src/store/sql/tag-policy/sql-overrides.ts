import { type Kysely, type Selectable, sql } from "kysely";
import { MAX_OVERRIDES, type Override, type OverrideStore } from "../../override-store.ts";
import type { Tables } from "../tables.ts";

/** What operators decided of tags, in a database. */
export class SqlOverrides implements OverrideStore {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async list(): Promise<Override[]> {
    const rows = await this.#db
      .selectFrom("overrides")
      .selectAll()
      .orderBy((order) => order.fn.coalesce("stamp", "since"), "desc")
      .orderBy("id", "desc")
      .execute();
    return rows.map(overrideOf);
  }

  async put(override: Override): Promise<void> {
    const { id, ...values } = rowOf(override);
    await this.#db.transaction().execute(async (transaction) => {
      await transaction
        .insertInto("overrides")
        .values({ id, ...values })
        .onConflict((conflict) => conflict.column("id").doUpdateSet(values))
        .execute();
      // One that still holds is the last to go.
      await sql`
        delete from overrides where id in (
          select id from overrides
          order by ended_at is null and coalesce(until > ${Date.now()}, true) desc,
            coalesce(stamp, since) desc, id desc
          limit -1 offset ${MAX_OVERRIDES}
        )
      `.execute(transaction);
    });
  }
}

type OverrideRow = Selectable<Tables["overrides"]>;

function rowOf({ ended, ...override }: Override): OverrideRow {
  return {
    id: override.id,
    kind: override.kind,
    pattern: override.pattern,
    digest: override.digest ?? null,
    as_of: override.asOf ?? null,
    is_unverified: override.isUnverified ? 1 : 0,
    reason: override.reason,
    made_by: override.by,
    since: override.since,
    stamp: override.stamp ?? null,
    until: override.until ?? null,
    ended_at: ended?.at ?? null,
    ended_by: ended?.by ?? null,
    ended_reason: ended?.reason ?? null,
  };
}

function overrideOf(row: OverrideRow): Override {
  const {
    id,
    kind,
    pattern,
    digest,
    as_of,
    is_unverified,
    reason,
    made_by: by,
    since,
    stamp,
    until,
  } = row;
  const { ended_at, ended_by, ended_reason } = row;
  return {
    id,
    kind,
    pattern,
    ...(digest === null ? {} : { digest }),
    ...(as_of === null ? {} : { asOf: as_of }),
    ...(is_unverified === 1 ? { isUnverified: true } : {}),
    reason,
    by,
    since,
    ...(stamp === null ? {} : { stamp }),
    ...(until === null ? {} : { until }),
    ...(ended_at === null
      ? {}
      : { ended: { at: ended_at, by: ended_by ?? "", reason: ended_reason ?? "" } }),
  };
}
