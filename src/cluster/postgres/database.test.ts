import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sql } from "kysely";
import { makeCertificateAuthority } from "../../../test/harness/services/certificate-authority.ts";
import { type Postgres, startPostgres } from "../../../test/harness/replicas/postgres.ts";
import { databaseSettings } from "../../../test/harness/replicas/postgres-ledger.ts";
import { real, realTest } from "../../../test/harness/real-components.ts";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { failureOf, until } from "../../../test/harness/waiting.ts";
import { currentDatabase } from "../../config/database-settings.ts";
import { describeDatabaseError } from "../database/database-error.ts";
import { migrateLedger, SCHEMA_VERSION } from "../database/migrations.ts";
import { type Database, openDatabase } from "../database/pool.ts";
import { Session } from "../database/session.ts";
import { probeLedger } from "./probe-ledger.ts";
import type { LedgerTables } from "../database/tables.ts";
import { tidyDaily } from "./tidying.ts";

let postgres: Postgres;
let dir: TempDir;
let authority: string;
beforeAll(async () => {
  if (!real.available) return;
  dir = await tempDir();
  const ca = await makeCertificateAuthority(dir);
  authority = await ca.certificate();
  postgres = await startPostgres({ tls: await ca.sign("server", "IP:127.0.0.1") });
});
afterAll(async () => dir?.[Symbol.asyncDispose]());
afterAll(async () => postgres?.[Symbol.asyncDispose]());

function open(
  url: string,
  statementMs = 300,
  ca?: string,
): Database<LedgerTables> & AsyncDisposable {
  const database = openDatabase<LedgerTables>(databaseSettings(url, ca), {
    connections: 2,
    statementMs,
  });
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

  realTest("and a session take the password that is right when they connect", async () => {
    const url = await postgres.database();
    await postgres.query("create role rotated login superuser password 'old'");
    const as = (password: string) => ({ ...databaseSettings(url), user: "rotated", password });
    let settings = as("old");
    const current = currentDatabase(() => settings) ?? settings;
    const database = openDatabase<LedgerTables>(current, { connections: 1, statementMs: 300 });
    await one({ ...database });
    await postgres.query("alter role rotated password 'new'");
    await postgres.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotated'",
    );
    await until(async () => /password/.test(await failureOf(one(database))), {
      what: "the old password to be refused",
    });
    settings = as("new");
    expect(await one(database)).toEqual({ one: 1 });
    await database.close();
    await using session = new Session(current, () => {});
    await session.open();
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

  realTest("of an earlier version gets what it lacks, and keeps what it has", async () => {
    const url = await postgres.database();
    await using database = open(url);
    await migrateLedger(database.db);
    await postgres.query(
      `set search_path = entrepot; drop table tag_history, image_parts, overrides; update schema_version set version = 1;
      insert into tags values ('docker.io', 'library/nginx', 'latest', 'sha256:1', null, clock_timestamp())`,
      url,
    );
    await migrateLedger(database.db);
    const found = `select version, tag, stays from entrepot.schema_version, entrepot.tags left join entrepot.tag_history using (tag)`;
    const expected = { version: SCHEMA_VERSION, tag: "latest", stays: null };
    expect(await postgres.query(found, url)).toEqual([expected]);
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

realTest("a database is looked at without changing it, and says why it is no ledger", async () => {
  const url = await postgres.database();
  const probed = (settings = databaseSettings(url)) => probeLedger(settings, 2000);
  expect(await probed()).toEqual({ version: 0 });
  await using database = open(url);
  await migrateLedger(database.db);
  expect(await probed()).toEqual({ version: SCHEMA_VERSION });
  await postgres.query(`update entrepot.schema_version set version = ${SCHEMA_VERSION + 2}`, url);
  expect(await probed()).toMatchObject({ absence: "newer" });
  const settings = databaseSettings(url);
  expect(await probed({ ...settings, password: "another" })).toMatchObject({ absence: "refused" });
  expect(await probed({ ...settings, database: "nowhere" })).toMatchObject({ absence: "refused" });
  expect(await probed({ ...settings, port: 1 })).toMatchObject({ absence: "silent" });
});

realTest("a database is looked at with the permissions that a replica needs", async () => {
  const url = await postgres.database();
  const name = new URL(url).pathname.slice(1);
  await postgres.query("create role guest login password 'guest-password'");
  const settings = databaseSettings(url);
  const guest = { ...settings, user: "guest", password: "guest-password" };
  const probed = async (by = guest): Promise<unknown> => {
    const answer = await probeLedger(by, 2000);
    return "reason" in answer ? `${answer.absence}: ${answer.reason}` : answer.version;
  };
  const denied = "refused: the user lacks a permission: let it own the database";
  const lacks = (what: string): string =>
    `${denied}, and the schema entrepot with its tables if it is there (42501: permission denied for ${what})`;
  expect(await probed()).toBe(lacks(`database ${name}`));
  await postgres.query("create schema entrepot authorization guest", url);
  expect(await probed()).toBe(0);
  await postgres.query("drop schema entrepot", url);
  await using database = open(url);
  await migrateLedger(database.db);
  expect(await probed()).toBe(lacks("schema entrepot"));
  await postgres.query("grant usage on schema entrepot to guest", url);
  expect(await probed()).toBe(lacks("table schema_version"));
  await postgres.query("grant select on all tables in schema entrepot to guest", url);
  expect(await probed()).toMatch(/^refused: .*permission denied for table /);
  await postgres.query("grant all on all tables in schema entrepot to guest", url);
  expect(await probed()).toBe(SCHEMA_VERSION);
  await postgres.query(`alter database ${name} set default_transaction_read_only = on`);
  expect(await probed(settings)).toMatch(/^silent: the server is read-only, such as a standby/);
});

realTest("what is old is removed from the ledger once a day, by one replica", async () => {
  const url = await postgres.database();
  await using database = open(url, 3000);
  await migrateLedger(database.db);
  const ago = (text: string): string => `clock_timestamp() - interval '${text}'`;
  await postgres.query(
    `set search_path = entrepot;
    insert into tags select 'docker.io', 'library/nginx', 't' || n, 'sha256:1', null,
      case when n % 2 = 0 then ${ago("31 days")} else ${ago("29 days")} end from generate_series(1, 12000) n;
    insert into tag_history values ('a', 'b', 'old', '[]', ${ago("91 days")}), ('a', 'b', 'new', '[]', ${ago("89 days")});
    insert into overrides values ('old', 'o', '{}', ${ago("1 year")}, true, ${ago("8 days")}),
      ('over', 'o', '{}', ${ago("1 year")}, false, ${ago("6 days")}), ('holds', 'o', '{}', ${ago("1 year")}, false, null);
    insert into manifests values ('a', 'b', 'old', 1, 'm', ${ago("31 days")}), ('a', 'b', 'new', 1, 'm', ${ago("1 day")});
    insert into pins values ('old pin', '1', true, '{}', ${ago("1 year")}), ('old unpin', '2', false, '{}', ${ago("8 days")}),
      ('unpin', '3', false, '{}', ${ago("6 days")});
    insert into purges values ('old', 'p', ${ago("8 days")}), ('new', 'p', ${ago("6 days")});
    insert into limits values ('a', 'h', 'old', 'budget', '', 1, 1, 1, ${ago("2 days")}),
      ('a', 'h', 'new', 'budget', '', 1, 1, 1, ${ago("1 hour")});
    insert into replicas values ('old', 'i', 'u', '1', ${ago("1 year")}, ${ago("8 days")}),
      ('new', 'i', 'u', '1', ${ago("1 year")}, ${ago("6 days")});`,
    url,
  );
  const left = async (): Promise<unknown> =>
    postgres.query(
      `select (select count(*)::int from entrepot.tags) as tags,
        (select string_agg(tag, ',') from entrepot.tag_history) as histories,
        (select string_agg(id, ',' order by id) from entrepot.overrides) as overrides,
        (select string_agg(digest, ',') from entrepot.manifests) as manifests,
        (select string_agg(pattern, ',' order by pattern) from entrepot.pins) as pins,
        (select string_agg(id, ',') from entrepot.purges) as purges,
        (select string_agg(account, ',') from entrepot.limits) as limits,
        (select string_agg(id, ',') from entrepot.replicas) as replicas`,
      url,
    );
  await Promise.all([tidyDaily(database.db, "a"), tidyDaily(database.db, "b")]);
  const remaining = {
    tags: 6000,
    histories: "new",
    overrides: "holds,over",
    manifests: "new",
    pins: "old pin,unpin",
    purges: "new",
    limits: "new",
    replicas: "new",
  };
  expect(await left()).toEqual([remaining]);
  await postgres.query(
    "update entrepot.purges set at = clock_timestamp() - interval '8 days'",
    url,
  );
  await tidyDaily(database.db, "a");
  expect(await left()).toEqual([remaining]);
});

describe("what is wrong with a database", () => {
  test("is that it may want TLS, where it says so", () => {
    const entry = 'no pg_hba.conf entry for host "10.0.0.9", user "entrepot", database "cache"';
    const said = (message: string): string =>
      describeDatabaseError(Object.assign(new Error(message), { code: "28000" }));
    const advice =
      "the server may want TLS: add ?sslmode=require to the URL, or see its pg_hba.conf";
    for (const how of ["no encryption", "SSL off"]) {
      expect(said(`${entry}, ${how}`)).toBe(`${advice} (28000: ${entry}, ${how})`);
    }
    expect(said(`${entry}, SSL encryption`)).toStartWith("the server does not accept this user");
  });

  realTest("is said in words, without the password", async () => {
    const url = new URL(postgres.url());
    const reason = async (change: (url: URL) => unknown, ca?: string): Promise<string> => {
      const changed = new URL(url);
      change(changed);
      await using database = open(changed.href, 300, ca);
      return await one(database).then(() => "nothing", describeDatabaseError);
    };
    expect(await reason((to) => (to.password = "wrong"))).toStartWith(
      "the user or the password is wrong (28P01: ",
    );
    expect(await reason((to) => (to.pathname = "/none"))).toStartWith(
      "there is no such database: create it (3D000: ",
    );
    expect(await reason((to) => (to.port = "1"))).toBe(
      "nothing listens at its address (ECONNREFUSED)",
    );
    expect(await reason((to) => (to.hostname = "no.such.invalid"))).toMatch(
      /^its name cannot be resolved/,
    );
    const full = (to: URL): unknown => (to.search = "?sslmode=verify-full");
    expect(await reason(full, authority)).toBe("nothing");
    expect(await reason(full)).toStartWith("its certificate is of a CA that is not trusted here");
    expect(await reason((to) => (to.search = "?sslmode=require"))).toBe("nothing");
    const byName = (to: URL): unknown => (to.hostname = "localhost");
    expect(await reason(byName, authority)).toStartWith("its certificate is for another name");
    expect(await reason((to) => [byName(to), (to.search = "?sslmode=verify-ca")], authority)).toBe(
      "nothing",
    );
  });
});
