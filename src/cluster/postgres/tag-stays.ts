import { type Kysely, sql } from "kysely";
import { z } from "zod";
import type { StayAges } from "../../cache/lookup/tag-news.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import type { LedgerTables } from "../database/tables.ts";
import type { SeenFact } from "../ledger/facts.ts";
import { agesOfStays, mergeStays, type SeenStay, staysOfAges } from "../ledger/stays.ts";
import { type AskedTag, askedTags } from "./tag-questions.ts";
import type { Told } from "./tell-facts.ts";

/** So much earlier a digest has to be seen first for it to be written, in milliseconds: replicas tell it again, by clocks that differ. */
const SEEN_EARLIER_MS = 60_000;
/** That a digest is still there is written when it was seen so much later, in milliseconds: its tag's row says it. */
const SEEN_LATER_MS = 3_600_000;

/** What the rows have, on the server's clock in milliseconds of the epoch. Anybody may have written it. */
const STAYS = z.array(
  z.object({
    digest: z.string().transform(parseDigest),
    firstSeen: z.number(),
    lastSeen: z.number(),
    source: z.string().optional(),
  }),
);

interface Row {
  /** Of what was asked, counted from 1. */
  readonly number: number;
  /** Null without a row. */
  readonly stays: unknown;
  /** Where the tag points, and when that was checked. */
  readonly digest: Digest | null;
  readonly checked: number | null;
  /** The server's clock. */
  readonly now: number;
}

/** What tags have pointed to, the latest first. */
export async function askStays(
  db: Kysely<LedgerTables>,
  asked: readonly AskedTag[],
): Promise<ReadonlyMap<number, readonly StayAges[]>> {
  const rows = await read(db, asked);
  return new Map(rows.map((row) => [row.number, agesOfStays(staysIn(row), row.now)]));
}

/**
 * Notes what tags were seen to point to. To be told before where they point now: the stay that ends was seen last when
 * the row of the tag was written.
 */
export async function tellStays(
  db: Kysely<LedgerTables>,
  told: readonly Told<SeenFact>[],
): Promise<void> {
  const facts = told
    .map(({ fact, moment }) => ({ ...fact, seen: staysOfAges(fact.stays, moment) }))
    .toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
  const rows = await read(db, facts);
  const news = facts.filter((fact, index) => changed(rows[index], fact.seen) !== undefined);
  if (news.length === 0) return;
  await db.transaction().execute(async (transaction) => {
    await sql`
      insert into tag_history (upstream, repository, tag, stays, seen)
      select upstream, repository, tag, '[]', clock_timestamp() from ${askedTags(news)}
      order by number
      on conflict (upstream, repository, tag) do nothing
    `.execute(transaction);
    await lock(transaction, news);
    // Another replica may have written since.
    const locked = await read(transaction, news);
    const merged = news.map(({ seen }, index) => changed(locked[index], seen) ?? null);
    await sql`
      update tag_history as known set stays = merged.stays::jsonb, seen = clock_timestamp()
      from ${askedTags(news)}
      join unnest(${merged.map((stays) => stays && JSON.stringify(stays))}::text[])
        with ordinality as merged (stays, number) using (number)
      where known.upstream = asked.upstream and known.repository = asked.repository
        and known.tag = asked.tag and merged.stays is not null
    `.execute(transaction);
  });
}

/** In the order of their keys, so that replicas never wait for each other. */
async function lock(db: Kysely<LedgerTables>, tags: readonly AskedTag[]): Promise<void> {
  await sql`
    select from ${askedTags(tags)}
    join tag_history as known on known.upstream = asked.upstream
      and known.repository = asked.repository and known.tag = asked.tag
    order by asked.number
    for update of known
  `.execute(db);
}

/** A row for each, in their order. */
async function read(db: Kysely<LedgerTables>, asked: readonly AskedTag[]): Promise<readonly Row[]> {
  const { rows } = await sql<Row>`
    select asked.number::float8 as number, history.stays, known.digest,
      extract(epoch from known.checked)::float8 * 1000 as checked,
      extract(epoch from clock_timestamp())::float8 * 1000 as now
    from ${askedTags(asked)}
    left join lateral (
      select stays from tag_history as one
      where one.upstream = asked.upstream and one.repository = asked.repository and one.tag = asked.tag
      limit 1
    ) as history on true
    left join lateral (
      select digest, checked from tags
      where tags.upstream = asked.upstream and tags.repository = asked.repository and tags.tag = asked.tag
      limit 1
    ) as known on true
    order by asked.number
  `.execute(db);
  return rows;
}

/** What is written in a row. */
export function parseStays(stays: unknown): SeenStay[] {
  const known = STAYS.safeParse(stays).data ?? [];
  return known.flatMap(({ digest, source, ...times }) =>
    digest ? [{ digest, ...times, ...(source !== undefined && { source }) }] : [],
  );
}

/** With where the tag points now. */
function staysIn(row: Row): SeenStay[] {
  const { digest, checked, now } = row;
  const current =
    digest && checked !== null ? [{ digest, firstSeen: checked, lastSeen: checked }] : [];
  return mergeStays(parseStays(row.stays), current, now);
}

/** @returns `undefined` if it says nothing new */
function changed(row: Row | undefined, seen: readonly SeenStay[]): SeenStay[] | undefined {
  if (!row) return undefined;
  const known = parseStays(row.stays);
  const merged = mergeStays(staysIn(row), seen, row.now);
  const isSame =
    known.length === merged.length &&
    merged.every((stay, index) => {
      const before = known[index];
      return (
        before?.digest === stay.digest &&
        before.firstSeen - stay.firstSeen < SEEN_EARLIER_MS &&
        (before.source !== undefined || stay.source === undefined) &&
        stay.lastSeen - before.lastSeen < SEEN_LATER_MS
      );
    });
  return isSame ? undefined : merged;
}

function keyOf({ repo, tag }: AskedTag): string {
  return JSON.stringify([repo.upstream, repo.repository, tag]);
}
