import { type Insertable, type Kysely, type Selectable, sql } from "kysely";
import type { Digest } from "../../../oci/digest.ts";
import type { Tag } from "../../../oci/names.ts";
import {
  type DiskFigures,
  type DiskStep,
  type Figure,
  FIGURES,
  type Figures,
  type FormerTag,
  type History,
  type HistoryBatch,
  type HistoryStep,
  HOUR_MS,
  HOURS_KEPT_MS,
  type ImageClient,
  MINUTE_MS,
  MINUTES_KEPT_MS,
  type NodeRecord,
  type PeriodQuery,
  type Resolution,
} from "../../history-store.ts";
import type { RepositoryRef } from "../../repository-ref.ts";
import type { Tables } from "../tables.ts";

const RESOLUTIONS: readonly Resolution[] = [MINUTE_MS, HOUR_MS];

/** Rows in one statement: SQLite binds at most 32,766 values. */
const ROWS_PER_INSERT = 200;

/** How many records are kept, the latest ones. */
const MAX_NODES = 5000;
const MAX_IMAGE_CLIENTS = 20_000;
const MAX_FORMER_TAGS = 20_000;

/** What happened in the last thirty days, in a database. */
export class SqlHistory implements History {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async add({ minute, upstreams, disk, nodes, clients }: HistoryBatch): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      for (const resolution of RESOLUTIONS) {
        const start = minute - (minute % resolution);
        const rows = [...upstreams].map(([upstream, figures]) =>
          rowOf({ resolution, upstream, start }, figures),
        );
        for (const some of chunks(rows)) await addFigures(transaction, some);
        if (disk) await addDisk(transaction, { resolution, start, ...disk });
      }
      for (const some of chunks(nodes)) await putNodes(transaction, some);
      for (const some of chunks(clients)) await putClients(transaction, some);
    });
  }

  async prune(now: number): Promise<void> {
    for (const [resolution, kept] of [
      [MINUTE_MS, MINUTES_KEPT_MS],
      [HOUR_MS, HOURS_KEPT_MS],
    ] as const) {
      for (const table of ["history", "disk_history"] as const) {
        await this.#db
          .deleteFrom(table)
          .where("resolution", "=", resolution)
          // A clock that was set back leaves periods in the future.
          .where((where) =>
            where.or([where("start", "<", now - kept - resolution), where("start", ">", now)]),
          )
          .execute();
      }
    }
    await this.#keepLatest("nodes", "pulled_at", MAX_NODES);
    await this.#keepLatest("image_clients", "pulled_at", MAX_IMAGE_CLIENTS);
    await this.#keepLatest("former_tags", "moved_at", MAX_FORMER_TAGS);
  }

  async begin(): Promise<number | undefined> {
    // The disk is recorded each minute, also where nothing is pulled.
    const rows = await this.#db
      .selectFrom("disk_history")
      .select((select) => ["resolution", select.fn.min("start").as("start")])
      .groupBy("resolution")
      .execute();
    const hour = rows.find(({ resolution }) => resolution === HOUR_MS)?.start;
    const minute = rows.find(({ resolution }) => resolution === MINUTE_MS)?.start;
    // The minutes of the first hour may be forgotten already.
    return hour === undefined || (minute !== undefined && minute - hour < HOUR_MS) ? minute : hour;
  }

  async upstreams(): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("history")
      .select("upstream")
      .distinct()
      .where("resolution", "=", HOUR_MS)
      .execute();
    return rows.map(({ upstream }) => upstream);
  }

  async of(upstream: string, { resolution, from, step }: PeriodQuery): Promise<HistoryStep[]> {
    const sums = FIGURES.map((name) => sql<number>`sum(${sql.ref(name)})`.as(name));
    const rows = await this.#db
      .selectFrom("history")
      .select([stepSince(from, step).as("at"), ...sums])
      .where("resolution", "=", resolution)
      .where("upstream", "=", upstream)
      .where("start", ">=", from)
      .groupBy("at")
      .orderBy("at")
      .execute();
    return rows.map(({ at, ...figures }) => ({ at, figures }));
  }

  async disk({ resolution, from, step }: PeriodQuery): Promise<DiskStep[]> {
    return this.#db
      .selectFrom("disk_history")
      .select([
        stepSince(from, step).as("at"),
        sql<number>`max(used)`.as("used"),
        sql<number>`sum(evicted)`.as("evicted"),
      ])
      .where("resolution", "=", resolution)
      .where("start", ">=", from)
      .groupBy("at")
      .orderBy("at")
      .execute();
  }

  async nodes(limit: number): Promise<NodeRecord[]> {
    const rows = await this.#db
      .selectFrom("nodes")
      .selectAll()
      .orderBy("pulled_at", "desc")
      .limit(limit)
      .execute();
    return rows.map(nodeOf);
  }

  async clientsOf(repo: RepositoryRef, limit: number): Promise<ImageClient[]> {
    const rows = await this.#db
      .selectFrom("image_clients")
      .select(["reference", "client", "pulled_at", "pulls"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .orderBy("pulled_at", "desc")
      .limit(limit)
      .execute();
    return rows.map(({ reference, client, pulled_at: pulledAt, pulls }) => ({
      repo,
      reference,
      client,
      pulledAt,
      pulls,
    }));
  }

  async formerTags(repo: RepositoryRef, tag: Tag): Promise<FormerTag[]> {
    const rows = await this.#db
      .selectFrom("former_tags")
      .select(["digest", "confirmed_at", "moved_at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "=", tag)
      .orderBy("moved_at", "desc")
      .execute();
    return rows.map(({ digest, confirmed_at: confirmedAt, moved_at: movedAt }) => ({
      digest,
      confirmedAt,
      movedAt,
    }));
  }

  async tagOf(repo: RepositoryRef, digest: Digest): Promise<Tag | undefined> {
    const row = await this.#db
      .selectFrom("tags")
      .select("tag")
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "=", digest)
      .orderBy("checked_at", "desc")
      .limit(1)
      .executeTakeFirst();
    return row?.tag;
  }

  async #keepLatest(
    table: "nodes" | "image_clients" | "former_tags",
    by: "pulled_at" | "moved_at",
    most: number,
  ): Promise<void> {
    await sql`
      delete from ${sql.table(table)} where ${sql.ref(by)} < (
        select ${sql.ref(by)} from ${sql.table(table)}
        order by ${sql.ref(by)} desc limit 1 offset ${most}
      )
    `.execute(this.#db);
  }
}

/** The beginning of the step that a period is in. */
function stepSince(from: number, step: number) {
  const whole = sql`cast(${step} as integer)`;
  const first = sql`cast(${from} as integer)`;
  return sql<number>`${first} + (start - ${first}) / ${whole} * ${whole}`;
}

type Figured = Insertable<Tables["history"]>;

function rowOf(of: Omit<Figured, Figure>, figures: Figures): Figured {
  return { ...of, ...figures };
}

function nodeOf(row: Selectable<Tables["nodes"]>): NodeRecord {
  const { address, user_agent: userAgent, pulled_at: pulledAt, report } = row;
  return { address, userAgent, pulledAt, ...(report === null ? {} : { report }) };
}

async function addFigures(db: Kysely<Tables>, rows: readonly Figured[]): Promise<void> {
  await db
    .insertInto("history")
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(["resolution", "upstream", "start"])
        .doUpdateSet(
          Object.fromEntries(
            FIGURES.map((name) => [
              name,
              sql`${sql.ref(`history.${name}`)} + ${sql.ref(`excluded.${name}`)}`,
            ]),
          ),
        ),
    )
    .execute();
}

async function addDisk(
  db: Kysely<Tables>,
  row: DiskFigures & { readonly resolution: Resolution; readonly start: number },
): Promise<void> {
  await db
    .insertInto("disk_history")
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(["resolution", "start"]).doUpdateSet({
        used: row.used,
        evicted: sql`disk_history.evicted + ${row.evicted}`,
      }),
    )
    .execute();
}

async function putNodes(db: Kysely<Tables>, nodes: readonly NodeRecord[]): Promise<void> {
  const rows = nodes.map(({ address, userAgent, pulledAt, report = null }) => ({
    address,
    user_agent: userAgent,
    pulled_at: pulledAt,
    report,
  }));
  await db
    .insertInto("nodes")
    .values(rows)
    .onConflict((conflict) =>
      conflict.column("address").doUpdateSet({
        user_agent: sql`excluded.user_agent`,
        pulled_at: sql`excluded.pulled_at`,
        report: sql`excluded.report`,
      }),
    )
    .execute();
}

async function putClients(db: Kysely<Tables>, clients: readonly ImageClient[]): Promise<void> {
  const rows = clients.map(({ repo, pulledAt, ...client }) => ({
    upstream: repo.upstream,
    repository: repo.repository,
    ...client,
    pulled_at: pulledAt,
  }));
  await db
    .insertInto("image_clients")
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(["upstream", "repository", "reference", "client"]).doUpdateSet({
        pulled_at: sql`excluded.pulled_at`,
        pulls: sql`image_clients.pulls + excluded.pulls`,
      }),
    )
    .execute();
}

function* chunks<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let start = 0; start < items.length; start += ROWS_PER_INSERT) {
    yield items.slice(start, start + ROWS_PER_INSERT);
  }
}
