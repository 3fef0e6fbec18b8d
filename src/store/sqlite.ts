import { Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { Kysely, SqliteDialect, type SqliteDatabase, type SqliteStatement } from "kysely";
import { LRUCache } from "lru-cache";
import { Fault } from "../oci/fault.ts";
import type { Tables } from "./tables.ts";

/** Statements that stay compiled. The index has about twenty, besides inserts of many rows. */
const STATEMENTS = 128;

/** How long a statement waits for a lock of another process (a backup, a person's shell), in milliseconds. */
const BUSY_TIMEOUT = 5000;

/**
 * Opens an index's tables in a SQLite file, `:memory:` for one that is gone when closed. Statements
 * that fail reject with a `Fault` of kind `storage`.
 *
 * @throws SQLiteError where the file cannot be opened or is no database
 */
export function openSqlite(path: string): Kysely<Tables> {
  const database = new Database(path, { create: true, readwrite: true });
  try {
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
    // One writer beside its readers; with NORMAL a power cut may take the last facts but breaks nothing.
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = NORMAL");
    database.run("PRAGMA foreign_keys = ON");
    // Pages that are wrong in the middle show only when they are read: 0.3 s for 100 MB.
    const [found] = database.query("PRAGMA quick_check(1)").values().flat();
    if (found !== "ok") throw new DamageError(String(found));
  } catch (cause) {
    database.close();
    throw cause;
  }
  const dialect = new SqliteDialect({ database: new BunDatabase(database) });
  return new Kysely<Tables>({ dialect });
}

/** What SQLite found wrong in a file that it could open. */
class DamageError extends Error {
  override readonly name = "DamageError";
}

/** Whether SQLite says that the file is not, or no longer, a database that it can read. */
export function isDamage(error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  if (cause instanceof DamageError) return true;
  return cause instanceof SQLiteError && /^SQLITE_(?:CORRUPT|NOTADB)/.test(cause.code ?? "");
}

/** bun:sqlite in the form in which kysely wants SQLite. */
class BunDatabase implements SqliteDatabase {
  readonly #database: Database;
  readonly #statements = new LRUCache<string, BunStatement>({
    max: STATEMENTS,
    dispose: (statement) => statement.finalize(),
  });

  constructor(database: Database) {
    this.#database = database;
  }

  prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = faulting(() => new BunStatement(this.#database.prepare(sql)));
    this.#statements.set(sql, statement);
    return statement;
  }

  close(): void {
    this.#statements.clear();
    faulting(() => this.#database.close());
  }
}

class BunStatement implements SqliteStatement {
  readonly reader: boolean;
  readonly #statement: Statement<unknown, SQLQueryBindings[]>;

  constructor(statement: Statement<unknown, SQLQueryBindings[]>) {
    this.#statement = statement;
    this.reader = statement.reader;
  }

  all(parameters: readonly unknown[]): unknown[] {
    return faulting(() => this.#statement.all(...bindings(parameters)));
  }

  run(parameters: readonly unknown[]): {
    changes: number | bigint;
    lastInsertRowid: number | bigint;
  } {
    return faulting(() => this.#statement.run(...bindings(parameters)));
  }

  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return faulting(() => this.#statement.iterate(...bindings(parameters)));
  }

  finalize(): void {
    this.#statement.finalize();
  }
}

/** Kysely hands on what the queries of this folder bind: strings, numbers and null. */
function bindings(parameters: readonly unknown[]): SQLQueryBindings[] {
  // Tables has columns of those types alone, so nothing else can be bound.
  return [...parameters] as SQLQueryBindings[];
}

function faulting<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const why = cause instanceof SQLiteError ? `${cause.message} (${cause.code})` : String(cause);
    throw new Fault({ kind: "storage", reason: `the index: ${why}` }, { cause });
  }
}
