import { type Kysely, type Selectable, sql } from "kysely";
import type { Digest } from "../../../oci/digest.ts";
import type { Tag } from "../../../oci/names.ts";
import {
  type DiskStep,
  FIGURES,
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
  type PulledImage,
  type Resolution,
  type TagPulls,
} from "../../history-store.ts";
import type { RepositoryRef } from "../../repository-ref.ts";
import type { Tables } from "../tables.ts";
import { keepLatest } from "../keep-latest.ts";
import { addBatch } from "./history-rows.ts";
import { MAX_TAG_PULLS, readTagPulls } from "./tag-pulls.ts";

/** How many records are kept, the latest ones. */
const MAX_NODES = 5000;
const MAX_IMAGE_CLIENTS = 20_000;

/** What happened in the last thirty days, in a database. */
export class SqlHistory implements History {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async add(batch: HistoryBatch): Promise<void> {
    await this.#db.transaction().execute((transaction) => addBatch(transaction, batch));
  }

  async prune(now: number): Promise<void> {
    const latest = await this.#latest();
    for (const [resolution, kept] of [
      [MINUTE_MS, MINUTES_KEPT_MS],
      [HOUR_MS, HOURS_KEPT_MS],
    ] as const) {
      // A clock that is behind what is kept is wrong now, or was: by age, nothing is told from it.
      if (now >= latest) await this.#removeBefore(resolution, now - kept - resolution);
      const excess = await this.#excess(resolution, kept / resolution + 2);
      if (excess !== undefined) await this.#removeBefore(resolution, excess);
    }
    await keepLatest(this.#db, { table: "nodes", by: "pulled_at", most: MAX_NODES });
    await keepLatest(this.#db, {
      table: "image_clients",
      by: "pulled_at",
      most: MAX_IMAGE_CLIENTS,
    });
    if (now >= latest) {
      await this.#db
        .deleteFrom("tag_pulls")
        .where("pulled_at", "<", now - HOURS_KEPT_MS)
        .execute();
    }
    await keepLatest(this.#db, { table: "tag_pulls", by: "pulled_at", most: MAX_TAG_PULLS });
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

  async pulledSince(moment: number): Promise<PulledImage[]> {
    const rows = await this.#db
      .selectFrom("image_clients")
      .select(["upstream", "repository", "reference"])
      .select((select) => select.fn.max("pulled_at").as("pulled_at"))
      .groupBy(["upstream", "repository", "reference"])
      .having((having) => having.eb(having.fn.max("pulled_at"), ">=", moment))
      .execute();
    return rows.map(({ upstream, repository, reference, pulled_at: pulledAt }) => ({
      repo: { upstream, repository },
      reference,
      pulledAt,
    }));
  }

  tagPulls(from: number, limit: number): Promise<TagPulls[]> {
    return readTagPulls(this.#db, from, limit);
  }

  async tagPullsBegin(): Promise<number | undefined> {
    const row = await this.#db
      .selectFrom("tag_pulls")
      .select((select) => select.fn.min("pulled_at").as("begin"))
      .executeTakeFirst();
    return row?.begin ?? undefined;
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

  /** When the last minute began of which anything is kept: the disk is recorded in each. */
  async #latest(): Promise<number> {
    const row = await this.#db
      .selectFrom("disk_history")
      .select((select) => select.fn.max("start").as("start"))
      .where("resolution", "=", MINUTE_MS)
      .executeTakeFirst();
    return row?.start ?? -Infinity;
  }

  /** The beginning of the earliest period that may stay if so many do; `undefined` if there are no more. */
  async #excess(resolution: Resolution, most: number): Promise<number | undefined> {
    const row = await this.#db
      .selectFrom("disk_history")
      .select("start")
      .where("resolution", "=", resolution)
      .orderBy("start", "desc")
      .limit(1)
      .offset(most - 1)
      .executeTakeFirst();
    return row?.start;
  }

  async #removeBefore(resolution: Resolution, start: number): Promise<void> {
    for (const table of ["history", "disk_history"] as const) {
      await this.#db
        .deleteFrom(table)
        .where("resolution", "=", resolution)
        .where("start", "<", start)
        .execute();
    }
  }
}

/** The beginning of the step that a period is in. */
function stepSince(from: number, step: number) {
  const whole = sql`cast(${step} as integer)`;
  const first = sql`cast(${from} as integer)`;
  return sql<number>`${first} + (start - ${first}) / ${whole} * ${whole}`;
}

function nodeOf(row: Selectable<Tables["nodes"]>): NodeRecord {
  const { address, user_agent: userAgent, pulled_at: pulledAt, report } = row;
  return { address, userAgent, pulledAt, ...(report === null ? {} : { report }) };
}
