import { Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { Kysely, SqliteDialect, type SqliteDatabase, type SqliteStatement } from "kysely";
import { LRUCache } from "lru-cache";
import { Fault } from "../oci/fault.ts";
import { Checkpointer, LOG_PAGES } from "./checkpointer.ts";
import { isSealed, seal, unseal } from "./seal.ts";
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
  const isKnown = isSealed(path);
  const database = new Database(path, { create: true, readwrite: true });
  try {
    unseal(path);
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
    // One writer beside its readers; with NORMAL a power cut may take the last facts but breaks nothing.
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = NORMAL");
    database.run("PRAGMA foreign_keys = ON");
    // Only where the thread that does it does not keep up.
    database.run(`PRAGMA wal_autocheckpoint = ${4 * LOG_PAGES}`);
    // Pages that are wrong in the middle show only when they are read: 0.2 s for 100,000 contents.
    const [found] = isKnown ? ["ok"] : database.query("PRAGMA quick_check(1)").values().flat();
    if (found !== "ok") throw new DamageError(String(found));
  } catch (cause) {
    database.close();
    throw cause;
  }
  const dialect = new SqliteDialect({ database: new BunDatabase(database, path) });
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
  readonly #path: string;
  readonly #statements = new LRUCache<string, BunStatement>({
    max: STATEMENTS,
    dispose: (statement) => statement.finalize(),
  });
  readonly #checkpointer: Checkpointer | undefined;
  #isDamaged = false;

  constructor(database: Database, path: string) {
    this.#database = database;
    this.#path = path;
    if (path !== ":memory:") this.#checkpointer = new Checkpointer(path);
  }

  prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql);
    if (known) return known;
    const faulting: Faulting = (work) => this.#faulting(work);
    const wrote = (rows: number): void => this.#checkpointer?.wrote(rows);
    const statement = faulting(
      () => new BunStatement(this.#database.prepare(sql), faulting, wrote),
    );
    this.#statements.set(sql, statement);
    return statement;
  }

  close(): void {
    this.#statements.clear();
    this.#checkpointer?.close();
    this.#faulting(() => this.#database.close());
    if (!this.#isDamaged && this.#path !== ":memory:") seal(this.#path);
  }

  #faulting<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      // The next start has to find it, and begin the index anew.
      this.#isDamaged ||= isDamage(cause);
      const why = cause instanceof SQLiteError ? `${cause.message} (${cause.code})` : String(cause);
      throw new Fault({ kind: "storage", reason: `the index: ${why}` }, { cause });
    }
  }
}

/** Does some work with the database; what it throws becomes a `Fault`. */
type Faulting = <T>(work: () => T) => T;

class BunStatement implements SqliteStatement {
  readonly reader: boolean;
  readonly #statement: Statement<unknown, SQLQueryBindings[]>;
  readonly #faulting: Faulting;
  readonly #wrote: (rows: number) => void;

  constructor(
    statement: Statement<unknown, SQLQueryBindings[]>,
    faulting: Faulting,
    wrote: (rows: number) => void,
  ) {
    this.#statement = statement;
    this.#faulting = faulting;
    this.#wrote = wrote;
    this.reader = statement.reader;
  }

  all(parameters: readonly unknown[]): unknown[] {
    return this.#faulting(() => this.#statement.all(...bindings(parameters)));
  }

  run(parameters: readonly unknown[]): {
    changes: number | bigint;
    lastInsertRowid: number | bigint;
  } {
    const done = this.#faulting(() => this.#statement.run(...bindings(parameters)));
    this.#wrote(done.changes);
    return done;
  }

  iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    return this.#faulting(() => this.#statement.iterate(...bindings(parameters)));
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
