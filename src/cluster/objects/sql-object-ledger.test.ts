import { expect } from "bun:test";
import { sql } from "kysely";
import { startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { realTest } from "../../../test/harness/real-components.ts";
import { parseDatabaseUrl } from "../../config/cluster/database-url.ts";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber } from "../clustertest/opened-object-ledger.ts";
import { objectLedgerConformance } from "../clustertest/object-ledger-conformance.ts";
import type { Fence } from "./object-ledger.ts";
import { migrateLedger } from "../database/migrations.ts";
import { openDatabase } from "../database/pool.ts";
import { ROLE } from "./sql-lease.ts";
import { SqlObjectLedger } from "./sql-object-ledger.ts";
import type { LedgerTables } from "../database/tables.ts";

const open = async () => {
  const postgres = await startPostgres();
  const settings = parseDatabaseUrl(await postgres.database());
  if (typeof settings === "string") throw new Error(`the URL ${settings}`);
  const limits = { connections: 4, statementMs: 10_000 };
  const database = openDatabase<LedgerTables>(settings, limits);
  const { db } = database;
  await migrateLedger(db);
  return {
    objects: new SqlObjectLedger(db),
    clear: async () => {
      await sql`delete from objects`.execute(db);
      await sql`delete from upkeep`.execute(db);
    },
    lead: async () => {
      const { rows } = await sql<{ fence: Fence }>`
        insert into leaders (role, holder, fence, expires)
        values (${ROLE}, 'somebody', 1, clock_timestamp() + interval '1 hour')
        on conflict (role) do update set fence = leaders.fence + 1 returning fence
      `.execute(db);
      const [leader] = rows;
      if (!leader) throw new Error("nobody leads");
      return leader.fence;
    },
    later: async (milliseconds: number) => {
      const by = sql`${milliseconds}::float8 * interval '1 ms'`;
      await sql`
        update objects set
          stored = stored - ${by}, used = used - ${by}, going_since = going_since - ${by},
          deleting_since = deleting_since - ${by}, kept_until = kept_until - ${by}
      `.execute(db);
      await sql`update upkeep set done = done - ${by}`.execute(db);
    },
    close: async () => {
      await database.close();
      await postgres[Symbol.asyncDispose]();
    },
  };
};

objectLedgerConformance("PostgreSQL", open, realTest);

realTest(
  "replicas that do everything at once never wait in a circle, and the totals stay right",
  async () => {
    const opened = await open();
    try {
      const { objects } = opened;
      const digests = Array.from({ length: 200 }, (_, number) => digestNumber(number));
      // In as many orders as there are replicas.
      const shuffled = (): Digest[] => digests.toSorted(() => Math.random() - 0.5).slice(0, 120);
      const ages = (): Map<Digest, number> => new Map(shuffled().map((digest) => [digest, 0]));
      const fence = await opened.lead();
      const works: readonly (() => Promise<unknown>)[] = [
        () => objects.stored(shuffled().map((digest) => ({ digest, size: 7, storedAgo: 0 }))),
        () => objects.claim(shuffled()),
        () => objects.used(ages()),
        () => objects.keep(shuffled().slice(0, 20)),
        () => objects.release(shuffled()),
        () =>
          objects.lost(
            new Map(
              shuffled()
                .slice(0, 5)
                .map((digest) => [digest, 0]),
            ),
          ),
        () => objects.markLeastRecentlyUsed({ above: 300, limit: 50 }),
        async () => objects.deleted(fence, await objects.takeGoing(fence, 50, 0)),
        () => objects.adopt(shuffled().map((digest) => ({ digest, size: 7, storedAgo: 0 }))),
        () => objects.tidy(),
      ];
      const rounds = works.map(async (work) => {
        for (let round = 0; round < 6; round += 1) await work();
      });
      await Promise.all(rounds);
      const totals = await objects.totals();
      await objects.recount();
      expect(await objects.totals()).toEqual(totals);
      const page = await objects.page(1000);
      expect(totals.here.objects + totals.going.objects).toBe(page.length);
    } finally {
      await opened.close();
    }
  },
);
