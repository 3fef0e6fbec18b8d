import { afterAll, beforeAll, expect } from "bun:test";
import { type CompiledQuery, Kysely, PostgresDialect, sql } from "kysely";
import { Pool } from "pg";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { isLong, longRealTest, real, realTest } from "../../../test/harness/real-components.ts";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber } from "../clustertest/opened-object-ledger.ts";
import { SCHEMA } from "../database/connection.ts";
import { migrateLedger } from "../database/migrations.ts";
import type { LedgerTables } from "../database/tables.ts";
import { type Fence, MAX_OBJECTS } from "./object-ledger.ts";
import { SqlObjectLedger } from "./sql-object-ledger.ts";

const OBJECTS = isLong ? 2_000_000 : 20_000;
const BATCHES = 100;
const AT_ONCE = isLong ? MAX_OBJECTS : 20;

let postgres: Postgres;
let pool: Pool;
let db: Kysely<LedgerTables>;
let objects: SqlObjectLedger<LedgerTables>;
let statements: CompiledQuery[] = [];
const fence = 7 as Fence; // The leader that the test has made.

beforeAll(async () => {
  if (!real.available) return;
  postgres = await startPostgres();
  const connectionString = await postgres.database();
  pool = new Pool({ connectionString, max: 2, options: `-c search_path=${SCHEMA}` });
  db = new Kysely<LedgerTables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => void statements.push(query),
  });
  await migrateLedger(db);
  objects = new SqlObjectLedger(db);
  // In each second one was used last.
  await sql`
    insert into objects (digest, size, stored, used)
    select 'sha256:' || encode(sha256(number::text::bytea), 'hex'), 1000 + number % 5000000, moment, moment
    from generate_series(1, ${OBJECTS}::int) as number,
      lateral (select clock_timestamp() - number * interval '1 s' as moment) as moments
  `.execute(db);
  await sql`
    insert into leaders (role, holder, fence, expires)
    values ('shared-store', 'somebody', ${fence}, 'infinity')
  `.execute(db);
  await sql`analyze objects`.execute(db);
}, 300_000);
afterAll(async () => {
  await db?.destroy();
  await postgres?.[Symbol.asyncDispose]();
});

/** Digests of objects that are there, spread over all of them. */
const some = (seed: number, count = AT_ONCE): Digest[] =>
  Array.from({ length: count }, (_, at) => digestNumber(1 + ((seed + at * 7919) % OBJECTS)));

const ages = (digests: readonly Digest[]): Map<Digest, number> =>
  new Map(digests.map((digest) => [digest, 0]));

/** Everything that happens more often than once an hour. */
const OFTEN: Readonly<Record<string, () => Promise<unknown>>> = {
  claim: () => objects.claim(some(1)),
  stored: () => objects.stored(some(2).map((digest) => ({ digest, size: 1000, storedAgo: 0 }))),
  lost: () => objects.lost(ages(some(3, 1))),
  used: () => objects.used(ages(some(4))),
  wanted: () => objects.wanted(ages(some(5))),
  staying: () => objects.staying(some(6)),
  keep: () => objects.keep(some(7)),
  release: () => objects.release(some(7)),
  totals: () => objects.totals(),
  known: () => objects.known(some(8)),
  page: () => objects.page(AT_ONCE, digestNumber(1)),
  markLeastRecentlyUsed: () => objects.markLeastRecentlyUsed({ above: 0, limit: AT_ONCE }),
  takeGoing: () => objects.takeGoing(fence, AT_ONCE, 0),
  takeCorrupt: () => objects.takeCorrupt(some(9, 1)),
  refused: () => objects.refused(fence, some(10, 1)),
  deleted: () => objects.deleted(fence, some(11)),
  overdue: () => objects.overdue(),
  adopt: () => objects.adopt(some(12).map((digest) => ({ digest, size: 1000, storedAgo: 0 }))),
  unlisted: () => objects.unlisted(digestNumber(1), undefined, some(13)),
  tidy: () => objects.tidy(),
};

/** The statements of some work, and how PostgreSQL would run each. */
async function plansOf(work: () => Promise<unknown>): Promise<string> {
  statements = [];
  await work();
  const plans: string[] = [];
  for (const { sql: text, parameters } of statements) {
    if (/^\s*(?:begin|commit)\b/.test(text)) continue;
    const { rows } = await pool.query<{ "QUERY PLAN": string }>(`explain ${text}`, [...parameters]);
    plans.push(rows.map((row) => row["QUERY PLAN"]).join("\n"));
  }
  expect(plans).not.toEqual([]);
  return plans.join("\n");
}

for (const [name, work] of Object.entries(OFTEN)) {
  realTest(`${name} reads objects by an index`, async () => {
    expect(await plansOf(work)).not.toContain("Seq Scan on objects");
  });
}

longRealTest(
  "two million objects: how long each takes",
  async () => {
    const timed = async (name: string, work: () => Promise<unknown>): Promise<void> => {
      const from = performance.now();
      const result = JSON.stringify((await work()) ?? null).slice(0, 60);
      console.log(`${name}: ${(performance.now() - from).toFixed(1)} ms ${result}`);
    };
    for (const [name, work] of Object.entries(OFTEN)) await timed(`${name} of ${AT_ONCE}`, work);
    const { here } = await objects.totals();
    await timed("evicting 5 %", async () => {
      const above = here.bytes * 0.95;
      let [marked, gone] = [0, 0];
      for (;;) {
        const count = await objects.markLeastRecentlyUsed({ above, limit: MAX_OBJECTS });
        marked += count.objects;
        if (count.objects < MAX_OBJECTS) break;
      }
      for (;;) {
        const taken = await objects.takeGoing(fence, MAX_OBJECTS, 0);
        if (taken.length === 0) return { marked, gone };
        gone += (await objects.deleted(fence, taken)).objects;
      }
    });
    const each = async (work: (digests: Digest[]) => Promise<unknown>): Promise<void> => {
      for (let batch = 0; batch < BATCHES; batch += 1) await work(some(batch));
    };
    await timed("a sweep of 100,000", () => each((digests) => objects.wanted(ages(digests))));
    await timed("using 100,000", () => each((digests) => objects.used(ages(digests))));
    await timed("a list of 100,000", async () => {
      let last: Digest | undefined;
      for (let batch = 0; batch < BATCHES; batch += 1) {
        const page = await objects.page(MAX_OBJECTS, last);
        await objects.adopt(page);
        await objects.unlisted(
          last,
          page.at(-1)?.digest,
          page.map(({ digest }) => digest),
        );
        last = page.at(-1)?.digest;
      }
    });
    await timed("recounting, once a day", () => objects.recount());
    await timed("a dry run", () => objects.countLeastRecentlyUsed(here.bytes * 0.8));
    const kept = await objects.totals();
    await objects.recount();
    expect(await objects.totals()).toEqual(kept);
  },
  600_000,
);
