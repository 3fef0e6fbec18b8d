import { type Kysely, type Selectable, sql } from "kysely";
import type { Digest } from "../../../oci/digest.ts";
import type { Tag } from "../../../oci/names.ts";
import { joinedStays, thinnedStays, withStay } from "../../merged-stays.ts";
import type { RepositoryRef, TagRef } from "../../repository-ref.ts";
import { MAX_STAYS, type MovedTag, type TagHistory, type TagStay } from "../../tag-history.ts";
import type { Tables } from "../tables.ts";
import { keepLatest } from "../keep-latest.ts";
import { listed } from "../listed.ts";
import { stayOf, toldStays } from "./stay-rows.ts";
import { MAX_ROWS_OF_TAG } from "./tag-policy-tables.ts";

/** With their indexes, a stay takes about 400 bytes, and a digest 200: 60 MB in all. */
const MAX_ROWS = 100_000;

/** What tags were seen to point to, in a database. */
export class SqlTagHistory implements TagHistory {
  readonly #db: Kysely<Tables>;
  #changes = 0;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Grows with each change that is not one of a tag, when it begins and when it has ended. */
  get revision(): number {
    return this.#changes;
  }

  async of(repo: RepositoryRef, tag: Tag): Promise<TagStay[]> {
    return toldStays(await staysOf(this.#db, repo, tag));
  }

  async ofEach(repo: RepositoryRef, tags: readonly Tag[]): Promise<ReadonlyMap<Tag, TagStay[]>> {
    const rows = await this.#db
      .selectFrom("tag_history")
      .select(["tag", "digest", "first_seen", "last_seen", "first_served", "source"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "in", listed<Tag>(tags))
      .orderBy("tag")
      .orderBy("position")
      .execute();
    const byTag = Map.groupBy(rows, ({ tag }) => tag);
    return new Map([...byTag].map(([tag, own]) => [tag, toldStays(own.toReversed().map(stayOf))]));
  }

  async firstSeen(repo: RepositoryRef, tags: readonly Tag[]): Promise<ReadonlyMap<Tag, number>> {
    const rows = await this.#db
      .selectFrom("tag_history")
      .select((select) => [
        "tag",
        select.fn.min("first_seen").as("at"),
        select.fn.countAll<number>().as("count"),
      ])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "in", listed<Tag>(tags))
      .groupBy("tag")
      .execute();
    const found = new Map(rows.map(({ tag, at }) => [tag, at]));
    // Of these, some are not told.
    const long = rows.filter(({ count }) => count > MAX_STAYS).map(({ tag }) => tag);
    for (const [tag, stays] of long.length > 0 ? await this.ofEach(repo, long) : []) {
      found.set(tag, Math.min(...stays.map((stay) => stay.firstSeen)));
    }
    return found;
  }

  async add(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[]): Promise<void> {
    if (stays.length === 0) return;
    let isChanged = false;
    try {
      await this.#db.transaction().execute(async (transaction) => {
        const known = await staysOf(transaction, repo, tag);
        const merged = stays.reduce(withStay, known);
        if (Bun.deepEquals(merged, known)) return;
        isChanged = true;
        this.#changes += 1;
        await replaceStays(transaction, repo, tag, merged);
      });
    } finally {
      if (isChanged) this.#changes += 1;
    }
  }

  async served(repo: RepositoryRef, tag: Tag, digest: Digest, at: number): Promise<void> {
    const latest = this.#db
      .selectFrom("tag_history")
      .select((select) => select.fn.max("position").as("position"))
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "=", tag)
      .where("digest", "=", digest);
    await this.#db
      .updateTable("tag_history")
      .set({ first_served: at })
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "=", tag)
      .where("position", "=", latest)
      .where("first_served", "is", null)
      .execute();
  }

  async tags(repo: RepositoryRef, limit: number, digest?: Digest): Promise<Tag[]> {
    let query = this.#db
      .selectFrom("tag_history")
      .select("tag")
      .distinct()
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository);
    if (digest !== undefined) query = query.where("digest", "=", digest);
    const rows = await query.orderBy("tag").limit(limit).execute();
    return rows.map(({ tag }) => tag);
  }

  async digestSeen(repo: RepositoryRef, digest: Digest, at: number): Promise<number> {
    const underTag = await this.#db
      .selectFrom("tag_history")
      .select((select) => select.fn.min("first_seen").as("at"))
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "=", digest)
      .executeTakeFirst();
    const byName = await this.#db
      .selectFrom("seen_digests")
      .select("seen_at as at")
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "=", digest)
      .executeTakeFirst();
    const known = Math.min(underTag?.at ?? Infinity, byName?.at ?? Infinity);
    if (known !== Infinity) return Math.min(known, at);
    await this.#db
      .insertInto("seen_digests")
      .values({ upstream: repo.upstream, repository: repo.repository, digest, seen_at: at })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return at;
  }

  async digests(repo: RepositoryRef, limit: number): Promise<Digest[]> {
    const underTags = this.#db
      .selectFrom("tag_history")
      .select(["digest", "last_seen as at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository);
    const byName = this.#db
      .selectFrom("seen_digests")
      .select(["digest", "seen_at as at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository);
    const rows = await this.#db
      .selectFrom(underTags.unionAll(byName).as("seen"))
      .select("digest")
      .groupBy("digest")
      .orderBy((order) => order.fn.max("at"), "desc")
      .limit(limit)
      .execute();
    return rows.map(({ digest }) => digest);
  }

  async moved(limit: number, last?: TagRef): Promise<MovedTag[]> {
    let moved = this.#db
      .selectFrom("tag_history")
      .select(["upstream", "repository", "tag"])
      .distinct()
      // As it is in the index, or that is not used.
      .where("position", ">", sql.lit(1));
    if (last) {
      const { upstream, repository } = last.repo;
      moved = moved.where((where) =>
        where(
          where.refTuple("upstream", "repository", "tag"),
          ">",
          where.tuple(upstream, repository, last.tag),
        ),
      );
    }
    const page = moved.orderBy("upstream").orderBy("repository").orderBy("tag").limit(limit);
    const rows = await this.#db
      .selectFrom(page.as("moved"))
      .innerJoin("tag_history", (join) =>
        join
          .onRef("tag_history.upstream", "=", "moved.upstream")
          .onRef("tag_history.repository", "=", "moved.repository")
          .onRef("tag_history.tag", "=", "moved.tag"),
      )
      .selectAll("tag_history")
      .execute();
    return movedTags(rows);
  }

  async clampTimes(now: number): Promise<void> {
    // None was first seen after it was last seen.
    await this.#db
      .updateTable("tag_history")
      .set({
        first_seen: sql`min(first_seen, ${now})`,
        last_seen: now,
        first_served: sql`min(first_served, ${now})`,
      })
      .where("last_seen", ">", now)
      .execute();
    await this.#db
      .updateTable("seen_digests")
      .set({ seen_at: now })
      .where("seen_at", ">", now)
      .execute();
  }

  async prune(): Promise<void> {
    // Tags that never moved go first: what they point to is in their records. So nobody who pulls many tags can make
    // what others were before forgotten.
    await sql`
      delete from tag_history where (upstream, repository, tag, position) in (
        select upstream, repository, tag, position from tag_history as stay
        order by exists (
          select 1 from tag_history as other
          where other.upstream = stay.upstream and other.repository = stay.repository
            and other.tag = stay.tag and other.position > 1
        ), last_seen
        limit max(0, (select count(*) from tag_history) - ${MAX_ROWS})
      )
    `.execute(this.#db);
    await keepLatest(this.#db, { table: "seen_digests", by: "seen_at", most: MAX_ROWS });
  }
}

/** The latest first, as they are written. */
async function staysOf(db: Kysely<Tables>, repo: RepositoryRef, tag: Tag): Promise<TagStay[]> {
  const rows = await db
    .selectFrom("tag_history")
    .select(["digest", "first_seen", "last_seen", "first_served", "source"])
    .where("upstream", "=", repo.upstream)
    .where("repository", "=", repo.repository)
    .where("tag", "=", tag)
    .orderBy("position", "desc")
    .execute();
  return rows.map(stayOf);
}

/** Rows of some tags, in any order. */
function movedTags(rows: readonly Selectable<Tables["tag_history"]>[]): MovedTag[] {
  const byTag = Map.groupBy(
    rows.toSorted((one, other) => other.position - one.position),
    // In their order: a name has no character before the space.
    ({ upstream, repository, tag }): string => `${upstream} ${repository} ${tag}`,
  );
  return [...byTag]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([, own]) => {
      const [row] = own;
      if (!row) return [];
      const { upstream, repository, tag } = row;
      return { repo: { upstream, repository }, tag, stays: toldStays(own.map(stayOf)) };
    });
}

/** @param stays the latest first */
async function replaceStays(
  db: Kysely<Tables>,
  { upstream, repository }: RepositoryRef,
  tag: Tag,
  stays: readonly TagStay[],
): Promise<void> {
  const kept = thinnedStays(
    stays.length > MAX_ROWS_OF_TAG ? joinedStays(stays) : stays,
    MAX_ROWS_OF_TAG,
  ).toReversed();
  const rows = kept.map(({ digest, firstSeen, lastSeen, firstServed, source }, at) => ({
    upstream,
    repository,
    tag,
    position: at + 1,
    digest,
    first_seen: firstSeen,
    last_seen: Math.max(firstSeen, lastSeen),
    first_served: firstServed ?? null,
    source: source ?? null,
  }));
  await db
    .deleteFrom("tag_history")
    .where("upstream", "=", upstream)
    .where("repository", "=", repository)
    .where("tag", "=", tag)
    .execute();
  await db.insertInto("tag_history").values(rows).execute();
}
