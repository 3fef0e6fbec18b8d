import { afterAll, beforeAll, expect } from "bun:test";
import { sql } from "kysely";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { real, realTest } from "../../../test/harness/real-components.ts";
import { until } from "../../../test/harness/waiting.ts";
import { parseDatabaseUrl } from "../../config/cluster/database-url.ts";
import { migrateLedger } from "../database/migrations.ts";
import { type Database, openDatabase } from "../database/pool.ts";
import type { LedgerTables } from "../database/tables.ts";
import { SqlLease } from "./sql-lease.ts";

let postgres: Postgres;
let database: Database<LedgerTables>;
beforeAll(async () => {
  if (!real.available) return;
  postgres = await startPostgres();
  const settings = parseDatabaseUrl(await postgres.database());
  if (typeof settings === "string") throw new Error(`the URL ${settings}`);
  database = openDatabase(settings, { connections: 4, statementMs: 300 });
  await migrateLedger(database.db);
});
afterAll(async () => {
  await database?.close();
  await postgres?.[Symbol.asyncDispose]();
});

const leaseOf = (replica: string): SqlLease<LedgerTables> =>
  new SqlLease({
    db: database.db,
    replica,
    times: { lease: 600, relied: 400, renew: 100, look: 50 },
  });

const fenceOf = (lease: SqlLease<LedgerTables>) => until(() => lease.fence, { what: "the lead" });
const loses = (lease: SqlLease<LedgerTables>) =>
  until(() => lease.fence === undefined, { what: "the end of the lead" });
const leaderOf = (lease: SqlLease<LedgerTables>, leader: string) =>
  until(() => lease.leader === leader, { what: `the leader ${leader}` });

/** Moves the end of the lease by so many milliseconds, and gives it to another holder. */
const change = (holder: string, by: number) =>
  sql`
    update leaders set holder = ${holder}, fence = fence + 1,
      expires = clock_timestamp() + ${by}::float8 * interval '1 ms'
  `.execute(database.db);

realTest("one replica leads, and another one at once when that stops", async () => {
  await using one = leaseOf("one");
  const first = await fenceOf(one);
  await using two = leaseOf("two");
  await leaderOf(two, "one");
  expect([one.leader, two.fence]).toEqual(["one", undefined]);
  await one[Symbol.asyncDispose]();
  expect(await fenceOf(two)).toBeGreaterThan(first);
  expect([one.fence, two.leader]).toEqual([undefined, "two"]);
});

realTest("who was stopped so long that another leads does not lead any more", async () => {
  await using one = leaseOf("one");
  const first = await fenceOf(one);
  await change("two x", 500);
  await loses(one);
  await leaderOf(one, "two");
  expect(await fenceOf(one)).toBeGreaterThan(first + 1);
});

realTest("nobody leads while the ledger is away, and its fence is not given again", async () => {
  await using one = leaseOf("one");
  const first = await fenceOf(one);
  await postgres.freeze();
  try {
    await loses(one);
  } finally {
    await postgres.thaw();
  }
  // What it asked while the ledger was frozen is answered now, and may have renewed the lease once more.
  await until(
    async () => {
      await sql`update leaders set expires = clock_timestamp() - interval '1 s'`.execute(
        database.db,
      );
      return one.fence !== undefined && one.fence > first;
    },
    { what: "a lead with another fence" },
  );
});
