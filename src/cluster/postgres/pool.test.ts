import { afterAll, beforeAll, describe, expect } from "bun:test";
import { sql } from "kysely";
import { type Postgres, startPostgres } from "../../../test/harness/postgres.ts";
import { databaseSettings } from "../../../test/harness/postgres-ledger.ts";
import { real, realTest } from "../../../test/harness/real-components.ts";
import { failureOf } from "../../../test/harness/waiting.ts";
import { describeDatabaseError } from "./database-error.ts";
import { migrateLedger, SCHEMA_VERSION } from "./migrations.ts";
import { type Database, openDatabase } from "./pool.ts";
import type { LedgerTables } from "./tables.ts";

let postgres: Postgres;
beforeAll(async () => {
  if (real.available) postgres = await startPostgres();
});
afterAll(async () => postgres?.[Symbol.asyncDispose]());

const LIMITS = { connections: 2, statementMs: 300 };

function open(url: string): Database<LedgerTables> & AsyncDisposable {
  const database = openDatabase<LedgerTables>(databaseSettings(url), LIMITS);
  return { ...database, [Symbol.asyncDispose]: () => database.close() };
}

async function one({ db }: Database<LedgerTables>): Promise<unknown> {
  return (await sql`select 1 as one`.execute(db)).rows[0];
}

describe("a pool of connections", () => {
  realTest("gives up on a server that hangs, and works at once when it goes on", async () => {
    await using database = open(await postgres.database());
    expect(await one(database)).toEqual({ one: 1 });
    await postgres.freeze();
    try {
      const failures = Array.from({ length: 6 }, () => failureOf(one(database)));
      for (const failure of await Promise.all(failures))
        expect(failure).toMatch(/timeout|timed out/);
      const transaction = database.db
        .transaction()
        .execute(async (db) => sql`select 1`.execute(db));
      expect(await failureOf(transaction)).toMatch(/timeout/);
    } finally {
      await postgres.thaw();
    }
    // No connection with a statement of somebody else in it is given again: none of these fails.
    const answers = await Promise.all(Array.from({ length: 6 }, () => one(database)));
    expect(answers).toEqual(Array.from({ length: 6 }, () => ({ one: 1 })));
  });

  realTest("closes though the server hangs", async () => {
    const database = open(await postgres.database());
    await one(database);
    await postgres.freeze();
    try {
      await database.close();
    } finally {
      await postgres.thaw();
    }
  });

  realTest(
    "keeps a connection whose statement took too long, and replaces one that broke",
    async () => {
      await using database = open(await postgres.database());
      expect(await failureOf(sql`select pg_sleep(10)`.execute(database.db))).toContain("timeout");
      expect(await one(database)).toEqual({ one: 1 });
      await postgres.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'entrepot'",
      );
      // The first one may be told on the connection that was ended.
      await one(database).catch(() => {});
      expect(await one(database)).toEqual({ one: 1 });
    },
  );
});

describe("the schema", () => {
  realTest("is made once by replicas that start at once", async () => {
    const url = await postgres.database();
    await using first = open(url);
    await using second = open(url);
    await Promise.all([first, second, first, second].map(({ db }) => migrateLedger(db)));
    expect(await first.db.selectFrom("schema_version").selectAll().execute()).toEqual([
      { id: 1, version: SCHEMA_VERSION },
    ]);
  });

  realTest("is used when it is one version newer, and left alone when it is more", async () => {
    const url = await postgres.database();
    await using database = open(url);
    await migrateLedger(database.db);
    await postgres.query(`update entrepot.schema_version set version = ${SCHEMA_VERSION + 1}`, url);
    await migrateLedger(database.db);
    await postgres.query(`update entrepot.schema_version set version = ${SCHEMA_VERSION + 2}`, url);
    expect(await failureOf(migrateLedger(database.db))).toBe(
      `its schema has version ${SCHEMA_VERSION + 2}, and this version supports versions up to ${SCHEMA_VERSION + 1}: run the newer version here too`,
    );
  });
});

describe("what is wrong with a database", () => {
  realTest("is said in words, without the password", async () => {
    const url = new URL(await postgres.database());
    const reason = async (change: (url: URL) => void): Promise<string> => {
      const changed = new URL(url);
      change(changed);
      await using database = open(changed.href);
      return await one(database).then(() => "nothing", describeDatabaseError);
    };
    expect(await reason((changed) => (changed.password = "wrong"))).toStartWith(
      "the user or the password is wrong (28P01: ",
    );
    expect(await reason((changed) => (changed.pathname = "/none"))).toStartWith(
      "there is no such database: create it (3D000: ",
    );
    expect(await reason((changed) => (changed.port = "1"))).toBe(
      "nothing listens at its address (ECONNREFUSED)",
    );
    expect(await reason((changed) => (changed.hostname = "no.such.invalid"))).toMatch(
      /^its name cannot be resolved/,
    );
    expect(await reason((changed) => (changed.search = "?sslmode=require"))).toContain("SSL");
  });
});
