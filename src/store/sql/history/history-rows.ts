import { type Insertable, type Kysely, sql } from "kysely";
import {
  type DiskFigures,
  type Figure,
  FIGURES,
  type Figures,
  type HistoryBatch,
  type ImageClient,
  type NodeRecord,
  RESOLUTIONS,
  type Resolution,
} from "../../history-store.ts";
import type { Tables } from "../tables.ts";
import { putTagPulls } from "./tag-pulls.ts";

/** Rows in one statement: SQLite binds at most 32,766 values. */
const ROWS_PER_INSERT = 200;

/** Adds to what is kept of a minute and its hour, within a transaction. */
export async function addBatch(
  transaction: Kysely<Tables>,
  { minute, upstreams, disk, nodes, clients, tagPulls = [] }: HistoryBatch,
): Promise<void> {
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
  for (const some of chunks(tagPulls)) await putTagPulls(transaction, some);
}

type Figured = Insertable<Tables["history"]>;

function rowOf(of: Omit<Figured, Figure>, figures: Figures): Figured {
  return { ...of, ...figures };
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
