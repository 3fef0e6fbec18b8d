import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from "bun:test";
import { SQL } from "bun";
import { sql } from "kysely";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { databaseSettings, TestLedger } from "../../../test/harness/replicas/postgres-ledger.ts";
import { real, realTest } from "../../../test/harness/real-components.ts";
import { RecordedNews } from "../../../test/harness/replicas/recorded-news.ts";
import { failureOf, Gate, until } from "../../../test/harness/waiting.ts";
import { type Fact, newOrderId } from "../ledger/facts.ts";
import { Hearing } from "../ledger/hearing.ts";
import { OUTBOX_LIMIT } from "../ledger/outbox.ts";
import { currentCursor } from "./changes.ts";
import { Looks } from "./looks.ts";
import { migrateLedger } from "../database/migrations.ts";
import { openDatabase } from "../database/pool.ts";
import { ServerClock } from "../database/server-clock.ts";
import type { LedgerTables } from "../database/tables.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const latest = tag("latest");
const heardOf = (number: number): string =>
  `library/nginx:latest=${digestNumber(number).slice(7, 11)}`;

const pointsTo = (number: number, ageMs = 0): Fact => ({
  kind: "tag",
  repo: nginx,
  tag: latest,
  digest: digestNumber(number),
  ageMs,
});

let postgres: Postgres;
let url: string;
let ledgers: TestLedger[];
beforeAll(async () => {
  if (real.available) postgres = await startPostgres();
});
beforeEach(async () => {
  ledgers = [];
  if (real.available) url = await postgres.database();
});
afterEach(() => Promise.all(ledgers.map((ledger) => ledger.close())));
afterAll(async () => postgres?.[Symbol.asyncDispose]());

interface Replica {
  readonly ledger: TestLedger;
  readonly news: RecordedNews;
}

async function replica(id: string, lookMs?: number): Promise<Replica> {
  const ledger = new TestLedger(url, id, lookMs);
  ledgers.push(ledger);
  await ledger.isUp();
  const news = new RecordedNews();
  ledger.hear(news);
  await news.hasCaughtUp();
  return { ledger, news };
}

describe("a ledger in a PostgreSQL", () => {
  realTest(
    "that hangs is asked no more, and what was told meanwhile is as old as it is",
    async () => {
      const [a, b] = [await replica("http://a"), await replica("http://b")];
      a.ledger.tell(pointsTo(1));
      await b.news.hasHeard(heardOf(1));
      await postgres.freeze();
      const toldAt = performance.now();
      try {
        // This statement is carried out when the server goes on, though nobody waits for it any more.
        a.ledger.tell(pointsTo(2));
        expect(await a.ledger.tag(nginx, latest)).toBeUndefined();
        // Only the first one has waited: no other is put to it.
        let answered = 0;
        for (let at = 0; at < 100; at += 1)
          void a.ledger.tag(nginx, latest).then(() => (answered += 1));
        await new Promise(setImmediate);
        expect(answered).toBe(100);
        expect(await a.ledger.isAway()).toBe("it does not answer");
        expect(
          await failureOf(
            a.ledger.order({ kind: "purge", id: newOrderId(), pattern: "*", ageMs: 0 }),
          ),
        ).toBe("the ledger is away: it does not answer");
      } finally {
        await postgres.thaw();
      }
      await b.news.hasHeard(heardOf(2));
      await b.ledger.isUp();
      const known = await until(() => b.ledger.tag(nginx, latest), { what: "the tag" });
      expect(known.digest).toBe(digestNumber(2));
      expect(known.ageMs).toBeGreaterThanOrEqual(performance.now() - toldAt - 1);
      expect(b.news.words.filter((words) => words === heardOf(2)).length).toBeLessThanOrEqual(2);
    },
  );

  realTest("that is restarted is there again, and nothing that was told is missed", async () => {
    const [a, b] = [await replica("http://a"), await replica("http://b")];
    await postgres.stop("SIGQUIT");
    expect(await b.ledger.isAway()).not.toBe("");
    await a.ledger.isAway();
    a.ledger.tell(pointsTo(1));
    await postgres.start();
    await a.ledger
      .order({ kind: "purge", id: newOrderId(), pattern: "docker.io/**", ageMs: 0 })
      .catch(() => {});
    await b.news.hasHeard(heardOf(1));
    await b.news.hasCaughtUp(2);
    await until(() => b.ledger.others().join() === "http://a", { what: "b to know a" });
    expect(b.ledger.states.filter(({ state }) => state === "up")).toHaveLength(2);
  });

  realTest("that crashed and gave ids of transactions again is heard completely", async () => {
    // Reloaded, the setting would hold only after the next write of the log.
    await postgres.query("alter system set wal_writer_delay = '10s'");
    await postgres.stop("SIGINT");
    await postgres.start();
    const database = openDatabase<LedgerTables>(databaseSettings(url), {
      connections: 1,
      statementMs: 3000,
    });
    const { db } = database;
    await migrateLedger(db);
    const news = new RecordedNews();
    let remembered: string | undefined = await currentCursor(db);
    const looks = new Looks({
      db,
      hearing: new Hearing(news),
      clock: () => new ServerClock(Date.now(), 0, 0, () => 0),
      remembered: () => remembered,
    });
    await looks.look();
    // Transactions that the server has not written to its disk when it crashes.
    await sql`do $$ begin
      for i in 1..1000 loop perform pg_current_xact_id(); commit; end loop;
    end $$`.execute(db);
    await looks.look();
    await postgres.stop("SIGQUIT");
    await postgres.start();
    expect(BigInt(await currentCursor(db))).toBeLessThan(BigInt(looks.cursor ?? 0));
    await postgres.query(
      `insert into entrepot.tags values ('docker.io', 'library/nginx', 'latest', '${digestNumber(1)}', null, clock_timestamp())`,
      url,
    );
    looks.beginAgain();
    await looks.look();
    expect(news.words).toEqual([heardOf(1)]);
    // It remembers nothing, if it crashed right after this replica came.
    remembered = undefined;
    looks.beginAgain();
    await looks.look();
    expect(news.words).toEqual([heardOf(1), heardOf(1)]);
    await database.close();
  });

  realTest(
    "that crashed still knows where tags have moved, as far as it has told that",
    async () => {
      await postgres.query("alter system set wal_writer_delay = '10s'");
      await postgres.query("select pg_reload_conf()");
      const [a, b] = [await replica("http://a"), await replica("http://b")];
      for (const number of [1, 2]) {
        a.ledger.tell(pointsTo(number));
        await b.news.hasHeard(heardOf(number));
      }
      await postgres.stop("SIGQUIT");
      await postgres.start();
      const rows = await postgres.query("select digest from entrepot.tags", url);
      expect(rows).toEqual([{ digest: digestNumber(2) }]);
    },
  );

  realTest("is heard though changes commit in another order than they were made", async () => {
    const { news } = await replica("http://a", 50);
    // Without a notification, as if it had been lost.
    const insert = (repository: string): string =>
      `insert into entrepot.tags values ('docker.io', '${repository}', 'latest', '${digestNumber(1)}', null, clock_timestamp())`;
    const [begun, end] = [new Gate(), new Gate()];
    await using connection = new SQL({ url, max: 1 });
    const earlier = connection.begin(async (transaction) => {
      await transaction.unsafe(insert("library/nginx"));
      begun.open();
      await end.opened;
    });
    await begun.opened;
    await postgres.query(insert("library/redis"), url);
    await news.hasHeard(heardOf(1).replace("nginx", "redis"));
    end.open();
    await earlier;
    await news.hasHeard(heardOf(1));
    expect(news.words).toHaveLength(2);
  });

  realTest("believes the latest of two replicas with one id, and tells the other", async () => {
    const first = await replica("http://a");
    const second = await replica("http://a");
    expect(await first.ledger.isAway()).toBe(
      "another replica says that it is reached at http://a too: give each its own cluster.advertise",
    );
    await second.ledger.close();
    await first.ledger.isUp();
  });

  realTest("that hangs is left, and says nothing more", async () => {
    const { ledger } = await replica("http://a");
    await postgres.freeze();
    try {
      ledger.tell(pointsTo(1));
      await ledger.close();
      expect(ledger.figures.untold).toBe(1);
    } finally {
      await postgres.thaw();
    }
  });

  realTest("says which replicas are alive, until they say goodbye", async () => {
    const [a, b] = [await replica("http://a"), await replica("http://b")];
    await until(() => a.ledger.others().join() === "http://b", { what: "a to know b" });
    await b.ledger.leave();
    await until(() => a.ledger.others().length === 0, { what: "b to be gone" });
    expect(a.ledger.silent()).toEqual([]);
    // It ends what it has begun.
    b.ledger.tell(pointsTo(1));
    await a.news.hasHeard(heardOf(1));
  });

  realTest("lists for ten minutes which have gone without a goodbye", async () => {
    const { ledger } = await replica("http://a");
    const gone = (minutes: number): string =>
      `('http://${minutes}', 'i', 'http://${minutes}', '1', clock_timestamp(), clock_timestamp() - interval '${minutes} min')`;
    const rows = [11, 9, 0].map(gone).join();
    await postgres.query(`insert into entrepot.replicas values ${rows}`, url);
    await until(() => ledger.silent().length > 0, { what: "those that are silent" });
    expect(ledger.silent()).toEqual(["http://0", "http://9"]);
    expect(ledger.others()).toEqual([]);
    const again = await replica("http://9");
    await until(() => ledger.others().join() === "http://9", { what: "one to be back" });
    await again.ledger.leave();
    await until(() => ledger.others().length === 0, { what: "it to say goodbye" });
    expect(ledger.silent()).toEqual(["http://0"]);
  });

  realTest("is told what it takes, when there is something that it does not take", async () => {
    const [a, b] = [await replica("http://a"), await replica("http://b")];
    const manifest = { kind: "manifest", repo: nginx, size: 1, ageMs: 0 } as const;
    a.ledger.tell({ ...manifest, digest: digestNumber(1), mediaType: "application/json" });
    a.ledger.tell({ ...manifest, digest: digestNumber(2), mediaType: "not text: \0" });
    a.ledger.tell({ ...manifest, digest: digestNumber(3), mediaType: "application/json" });
    await until(() => b.ledger.manifest(nginx, digestNumber(3)), { what: "what it takes" });
    expect(a.ledger.refused).toHaveLength(1);
    expect(a.ledger.refused[0]).toStartWith("manifest: ");
    expect(a.ledger.figures.untold).toBe(0);
    expect(a.ledger.state).toMatchObject({ state: "up" });
  });

  realTest("hears what is too long for a notification, and nothing that is none", async () => {
    const [a, b] = [await replica("http://a"), await replica("http://b")];
    const notify = (text: string): Promise<unknown> =>
      postgres.query(`select pg_notify('entrepot', '${text}')`, url);
    for (const text of [
      "",
      "{",
      "[]",
      "null",
      '{"what":{"kind":"party"}}',
      '{"what":{"kind":"tag","tag":"$("}}',
    ])
      await notify(text);
    const pattern = `docker.io/${"long/".repeat(2000)}*`;
    await a.ledger.order({ kind: "purge", id: newOrderId(), pattern, ageMs: 0 });
    await b.news.hasHeard(`purge ${pattern}`);
    expect(b.news.words).toEqual([`purge ${pattern}`]);
  });

  realTest("says that more was told than is kept", async () => {
    const a = await replica("http://a");
    await postgres.stop("SIGQUIT");
    await a.ledger.isAway();
    for (let at = 0; at <= OUTBOX_LIMIT; at += 1)
      a.ledger.tell({
        kind: "tag",
        repo: nginx,
        tag: tag(`t${at}`),
        digest: digestNumber(at),
        ageMs: 0,
      });
    expect(a.ledger.figures.untold).toBe(OUTBOX_LIMIT);
    expect(a.news.losses).toBe(0);
    await postgres.start();
    await until(() => a.news.losses === 1 && a.ledger.figures.untold === 0, {
      what: "the rest to be told",
    });
    const [row] = await postgres.query<{ count: number }>(
      "select count(*)::int from entrepot.tags",
      url,
    );
    expect(row?.count).toBe(OUTBOX_LIMIT);
  });
});
