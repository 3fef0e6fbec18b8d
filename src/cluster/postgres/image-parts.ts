import { type Kysely, sql } from "kysely";
import type { KnownImage } from "../../cache/held/image-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { timeOf } from "../database/message-sql.ts";
import type { LedgerTables } from "../database/tables.ts";
import type { PartsFact } from "../ledger/facts.ts";
import { MAX_IMAGES } from "../ledger/ledger.ts";
import { agesOfStays } from "../ledger/stays.ts";
import { parseStays } from "./tag-stays.ts";
import type { Told } from "./tell-facts.ts";

/** A layer is part of a manifest, that of an index, and that of none. */
const MAX_DEPTH = 3;
/** By so many of its tags an image is known. */
const MAX_TAGS = 50;

/** Notes what manifests are made of. */
export async function tellParts(
  db: Kysely<LedgerTables>,
  told: readonly Told<PartsFact>[],
): Promise<void> {
  const rows = told.flatMap(({ fact: { repo, image, parts }, moment }) =>
    parts.map((digest) => ({ repo, digest, image, moment })),
  );
  const texts = (of: (row: (typeof rows)[number]) => string) => sql`${rows.map(of)}::text[]`;
  await sql`
    insert into image_parts as known (upstream, repository, digest, image, first_seen, told)
    select upstream, repository, digest, image, least(${timeOf(sql`moment`)}, clock_timestamp()), clock_timestamp()
    from unnest(
      ${texts((row) => row.repo.upstream)}, ${texts((row) => row.repo.repository)},
      ${texts((row) => row.digest)}, ${texts((row) => row.image)},
      ${rows.map((row) => row.moment)}::float8[]
    ) as part (upstream, repository, digest, image, moment)
    order by upstream collate "C", repository collate "C", digest collate "C", image collate "C"
    on conflict (upstream, repository, digest, image) do update set
      first_seen = least(known.first_seen, excluded.first_seen), told = excluded.told
  `.execute(db);
}

interface Row {
  readonly digest: Digest;
  readonly tag: Tag | null;
  readonly stays: unknown;
  readonly seenAgeMs: number | null;
  /** The server's clock, in milliseconds of the epoch. */
  readonly now: number;
}

/** The images that a digest is a part of, or is itself: those with tags first. */
export async function askImages(
  db: Kysely<LedgerTables>,
  { upstream, repository }: RepositoryRef,
  digest: Digest,
): Promise<readonly KnownImage[]> {
  const { rows } = await sql<Row>`
    with recursive above (digest, depth) as (
      select ${digest}::text collate "C", 0
      union
      select part.image, above.depth + 1 from above
      join image_parts as part on part.upstream = ${upstream} and part.repository = ${repository}
        and part.digest = above.digest
      where above.depth < ${sql.lit(MAX_DEPTH)}
    )
    select image.digest, history.tag, history.stays,
      greatest(0, extract(epoch from clock_timestamp() - own.first_seen)::float8 * 1000) as "seenAgeMs",
      extract(epoch from clock_timestamp())::float8 * 1000 as now
    from (select distinct digest from above) as image
    left join lateral (
      select min(first_seen) as first_seen from image_parts as part
      where part.upstream = ${upstream} and part.repository = ${repository} and part.image = image.digest
    ) as own on true
    left join lateral (
      select tag, stays from tag_history as one
      where one.upstream = ${upstream} and one.repository = ${repository}
        and stays @> jsonb_build_array(jsonb_build_object('digest', image.digest))
      limit ${sql.lit(MAX_TAGS)}
    ) as history on true
    where own.first_seen is not null or history.tag is not null
    order by history.tag is null
    limit ${sql.lit(MAX_IMAGES * MAX_TAGS)}
  `.execute(db);
  const images = Map.groupBy(rows, (row) => row.digest);
  return [...images].slice(0, MAX_IMAGES).map(([image, known]) => imageOf(image, known));
}

function imageOf(digest: Digest, rows: readonly Row[]): KnownImage {
  const tags = rows.flatMap(({ tag, stays, now }) =>
    tag ? [{ tag, stays: agesOfStays(parseStays(stays), now) }] : [],
  );
  const seenAgeMs = rows[0]?.seenAgeMs ?? undefined;
  return seenAgeMs === undefined ? { digest, tags } : { digest, tags, seenAgeMs };
}
