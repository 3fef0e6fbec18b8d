import { Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { CompiledQuery, Kysely } from "kysely";
import { LRUCache } from "lru-cache";
import { Fault } from "../../oci/fault.ts";
import { storageKind } from "../storage-fault.ts";
import { LOG_PAGES, WriterError, WriterThread } from "./writer-thread.ts";
import { wasShutDownCleanly, markCleanShutdown, clearCleanShutdown } from "./clean-shutdown.ts";
import { type StatementResult, SqliteDialect, type Statements } from "./sqlite-dialect.ts";
import type { Tables } from "./tables.ts";

/** Statements that stay compiled. The index has about twenty, besides inserts of many rows. */
const MAX_STATEMENTS = 128;

/** How long a statement waits for a lock of another process (a backup, a person's shell), in milliseconds. */
const BUSY_TIMEOUT = 5000;

/** Free pages are given back to the disk when they are this part of the file and this many, 2 MiB. */
const MIN_FREE_RATIO = 0.25;
const MIN_FREE_PAGES = 512;
/** Pages that are given back at once: about 5 ms, for which who writes has to wait. */
const VACUUM_PAGES = 256;

/**
 * A SQLite file that this process alone writes to. Statements that fail reject with a `Fault` of
 * kind `storage`.
 */
export class SqliteFile implements Statements {
  /** Reads and writes in this thread, in one turn of it: for changes of the tables. */
  readonly mainThreadDb: Kysely<Tables>;
  /**
   * Writes in a thread of its own, and reads in this one. A write may wait for the disk, for as long
   * as 30 ms beside a sync of another file, in which nobody would be answered.
   */
  readonly db: Kysely<Tables>;
  readonly #path: string;
  readonly #database: Database;
  readonly #writer: WriterThread | undefined;
  readonly #statements: LRUCache<string, Statement<unknown, SQLQueryBindings[]>>;
  #isDamaged = false;

  /**
   * Opens a file, `:memory:` for one that is gone when closed.
   *
   * @throws SQLiteError where the file cannot be opened or is no database
   */
  constructor(path: string) {
    this.#path = path;
    this.#database = openDatabase(path);
    this.#statements = new LRUCache({
      max: MAX_STATEMENTS,
      dispose: (statement) => statement.finalize(),
    });
    this.mainThreadDb = new Kysely({ dialect: new SqliteDialect(this, this) });
    if (path === ":memory:") {
      this.db = this.mainThreadDb;
      return;
    }
    const writer = new WriterThread(path, BUSY_TIMEOUT, this);
    this.#writer = writer;
    const write: Statements = {
      run: (sql, parameters) => this.#mapErrors(() => writer.run(sql, parameters)),
    };
    this.db = new Kysely({ dialect: new SqliteDialect(this, write) });
  }

  run(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    return this.#mapErrors(() => this.#run(sql, parameters));
  }

  /** Of the file, less its free pages; what is in the log besides is not counted, at most some 16 MiB. */
  async bytes(): Promise<number> {
    const [all, free, size] = [
      await this.#pragma("page_count"),
      await this.#pragma("freelist_count"),
      await this.#pragma("page_size"),
    ];
    return (all - free) * size;
  }

  async shrink(): Promise<void> {
    const free = await this.#pragma("freelist_count");
    if (free < MIN_FREE_PAGES || free < MIN_FREE_RATIO * (await this.#pragma("page_count"))) return;
    for (let left = free; left > 0; left -= VACUUM_PAGES) {
      await this.#write(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    }
    // The file becomes shorter when the log is put into it.
    await this.#write("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /** Between the transactions of others. */
  async #write(statement: string): Promise<void> {
    await this.db.executeQuery(CompiledQuery.raw(statement));
  }

  async #pragma(name: string): Promise<number> {
    const { rows } = await this.run(`PRAGMA ${name}`, []);
    return Number(Object.values(rows[0] ?? {})[0]);
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writer?.close();
    this.#statements.clear();
    await this.#mapErrors(() => this.#database.close());
    if (!this.#isDamaged && this.#path !== ":memory:") markCleanShutdown(this.#path);
  }

  #run(sql: string, parameters: readonly unknown[]): StatementResult {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    // Kysely hands on what the queries of this folder bind: strings, numbers and null.
    const bindings = [...parameters] as SQLQueryBindings[];
    if (statement.columnNames.length > 0) return { rows: statement.all(...bindings), changes: 0 };
    return { rows: [], changes: statement.run(...bindings).changes };
  }

  async #mapErrors<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      // The next start has to find it, and begin the index anew.
      this.#isDamaged ||= isDamage(cause);
      const code = sqliteCode(cause);
      const why = code === undefined ? String(cause) : `${messageOf(cause)} (${code})`;
      throw new Fault(
        { kind: storageKind(code), reason: `the metadata database: ${why}` },
        { cause },
      );
    }
  }
}

function openDatabase(path: string): Database {
  const isKnown = wasShutDownCleanly(path);
  const database = new Database(path, { create: true, readwrite: true });
  try {
    clearCleanShutdown(path);
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
    const [pages] = database.query("PRAGMA page_count").values().flat();
    // Before there is a table, or never: without it, the file would keep all that it ever took.
    if (pages === 0) database.run("PRAGMA auto_vacuum = INCREMENTAL");
    // One writer beside its readers; with NORMAL a power cut may take the last facts but breaks nothing.
    database.run("PRAGMA journal_mode = WAL");
    database.run("PRAGMA synchronous = NORMAL");
    database.run("PRAGMA foreign_keys = ON");
    database.run(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}`);
    // Pages that are wrong in the middle show only when they are read: 0.2 s for 100,000 contents.
    const [found] = isKnown ? ["ok"] : database.query("PRAGMA quick_check(1)").values().flat();
    if (found !== "ok") throw new DamageError(String(found));
    return database;
  } catch (cause) {
    database.close();
    throw cause;
  }
}

/** What SQLite found wrong in a file that it could open. */
class DamageError extends Error {
  override readonly name = "DamageError";
}

/** Whether SQLite says that the file is not, or no longer, a database that it can read. */
export function isDamage(error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  if (cause instanceof DamageError) return true;
  return /^SQLITE_(?:CORRUPT|NOTADB)/.test(sqliteCode(cause) ?? "");
}

function sqliteCode(cause: unknown): string | undefined {
  return cause instanceof SQLiteError || cause instanceof WriterError ? cause.code : undefined;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
