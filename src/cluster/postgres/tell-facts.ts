import { type Kysely, type RawBuilder, sql } from "kysely";
import type {
  AppliedFact,
  BudgetFact,
  ManifestFact,
  RestFact,
  TagFact,
  TagRemovedFact,
} from "../ledger/facts.ts";
import { MESSAGES, notifyOf, timeOf } from "../database/message-sql.ts";
import type { LedgerTables } from "../database/tables.ts";

/** A fact, and the moment on the server's clock of which it is, or until which it holds. */
export interface Told<Fact> {
  readonly fact: Fact;
  /** In milliseconds of the epoch. */
  readonly moment: number;
}

/**
 * Notes where tags point, and notifies of those that moved. A later look at the upstream replaces an earlier one,
 * in whatever order the statements arrive; a moment in the future is of a server whose clock was wrong.
 *
 * What the row had is read from the row that is replaced, which another replica may have written since this
 * statement began. So each move is notified, whoever is told of it first; and what was notified survives a crash.
 */
export async function tellTags(
  db: Kysely<LedgerTables>,
  by: string,
  told: readonly Told<TagFact | TagRemovedFact>[],
): Promise<void> {
  const facts = told.map(({ fact }) => fact);
  await sql`
    with told as (
      select upstream, repository, tag, digest, least(${timeOf(sql`moment`)}, clock_timestamp()) as checked
      from unnest(
        ${texts(facts.map(({ repo }) => repo.upstream))}, ${texts(facts.map(({ repo }) => repo.repository))},
        ${texts(facts.map(({ tag }) => tag))},
        ${texts(facts.map((fact) => (fact.kind === "tag" ? fact.digest : null)))},
        ${numbers(told.map(({ moment }) => moment))}
      ) as fact (upstream, repository, tag, digest, moment)
    ), put as (
      insert into tags as known (upstream, repository, tag, digest, checked)
      select upstream, repository, tag, digest, checked from told
      order by upstream collate "C", repository collate "C", tag collate "C"
      on conflict (upstream, repository, tag) do update set
        digest = excluded.digest, previous = known.digest, checked = excluded.checked,
        moved = case when known.digest is distinct from excluded.digest
          then pg_current_xact_id() else known.moved end
      where known.checked < excluded.checked or known.checked > clock_timestamp()
      returning *
    )
    select set_config('synchronous_commit', 'on', true), ${notifyOf(by, MESSAGES.tags)}
    from put where digest is distinct from previous
  `.execute(db);
}

/** Notes in which repositories manifests were given. Nobody is notified: it is asked for where it matters. */
export async function tellManifests(
  db: Kysely<LedgerTables>,
  told: readonly Told<ManifestFact>[],
): Promise<void> {
  const facts = told.map(({ fact }) => fact);
  await sql`
    insert into manifests as known (upstream, repository, digest, size, media_type, seen)
    select upstream, repository, digest, size, media_type, least(${timeOf(sql`moment`)}, clock_timestamp())
    from unnest(
      ${texts(facts.map(({ repo }) => repo.upstream))}, ${texts(facts.map(({ repo }) => repo.repository))},
      ${texts(facts.map(({ digest }) => digest))}, ${numbers(facts.map(({ size }) => size))},
      ${texts(facts.map(({ mediaType }) => mediaType))}, ${numbers(told.map(({ moment }) => moment))}
    ) as fact (upstream, repository, digest, size, media_type, moment)
    order by upstream collate "C", repository collate "C", digest collate "C"
    on conflict (upstream, repository, digest) do update set
      size = excluded.size, media_type = excluded.media_type, seen = excluded.seen
    where known.seen < excluded.seen
  `.execute(db);
}

/** Notes limits, and notifies of those that say more than what is known: a longer rest, a lower budget. */
export async function tellLimits(
  db: Kysely<LedgerTables>,
  by: string,
  told: readonly Told<RestFact | BudgetFact>[],
): Promise<void> {
  const facts = told.map(({ fact }) => fact);
  const ofBudget = (value: (fact: BudgetFact) => number | undefined) =>
    numbers(facts.map((fact) => (fact.kind === "budget" ? (value(fact) ?? null) : null)));
  await sql`
    with told as (
      select upstream, host, account, kind, requests, remaining, quota, window_s, ${timeOf(sql`moment`)} as until
      from unnest(
        ${texts(facts.map((fact) => fact.upstream))}, ${texts(facts.map(({ host }) => host))},
        ${texts(facts.map(({ account }) => account))}, ${texts(facts.map(({ kind }) => kind))},
        ${texts(facts.map((fact) => (fact.kind === "rest" ? fact.requests : "")))},
        ${ofBudget(({ remaining }) => remaining)}, ${ofBudget(({ limit }) => limit)},
        ${ofBudget(({ window }) => window)}, ${numbers(told.map(({ moment }) => moment))}
      ) as fact (upstream, host, account, kind, requests, remaining, quota, window_s, moment)
    ), put as (
      insert into limits as known
        (upstream, host, account, kind, requests, remaining, quota, window_s, until)
      select upstream, host, account, kind, requests, remaining, quota, window_s, until
      from told where until > clock_timestamp()
      order by upstream collate "C", host collate "C", account collate "C", kind collate "C",
        requests collate "C"
      on conflict (upstream, host, account, kind, requests) do update set
        remaining = excluded.remaining, quota = excluded.quota, window_s = excluded.window_s,
        until = excluded.until, tx = pg_current_xact_id()
      where known.until <= clock_timestamp() or case when known.kind = 'rest'
        then excluded.until > known.until else excluded.remaining < known.remaining end
      returning *
    )
    select ${notifyOf(by, MESSAGES.limits)} from put
  `.execute(db);
}

/** Notifies of orders that were carried out. That is noted nowhere. */
export async function tellApplied(
  db: Kysely<LedgerTables>,
  by: string,
  replica: string,
  applied: readonly AppliedFact[],
): Promise<void> {
  const message = sql`
    json_build_object(
      'kind', 'applied', 'order', id, 'outcome', outcome, 'images', images, 'by', ${replica}::text
    )
  `;
  await sql`
    select ${notifyOf(by, message)}
    from unnest(
      ${texts(applied.map(({ order }) => order))}, ${texts(applied.map(({ outcome }) => outcome))},
      ${numbers(applied.map(({ images }) => images))}
    ) as fact (id, outcome, images)
  `.execute(db);
}

function texts(values: readonly (string | null)[]): RawBuilder<unknown> {
  return sql`${values}::text[]`;
}

function numbers(values: readonly (number | null)[]): RawBuilder<unknown> {
  return sql`${values}::float8[]`;
}
