import { statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import {
  constants,
  Database,
  SQLiteError,
  type SQLQueryBindings,
  type Statement,
} from "bun:sqlite";
import { CompiledQuery, Kysely } from "kysely";
import { LRUCache } from "lru-cache";
import { Fault } from "../../oci/fault.ts";
import { storageFault, storageKind } from "../storage-fault.ts";
import { IntegrityCheck } from "./integrity-check.ts";
import { LOG_PAGES, WriterError, WriterThread } from "./writer-thread.ts";
import { wasShutDownCleanly, markCleanShutdown, clearCleanShutdown } from "./clean-shutdown.ts";
import { type StatementResult, SqliteDialect, type Statements } from "./sqlite-dialect.ts";
import type { Tables } from "./tables.ts";

/** How many compiled statements are cached. There are about twenty, besides inserts of many rows. */
const MAX_STATEMENTS = 128;

/** How long a statement waits for a lock of another process (a backup, an sqlite3 shell), in milliseconds. */
const BUSY_TIMEOUT = 5000;

/** A file up to this size is checked before it is used after an unclean end, in bytes. */
const MAX_CHECKED_FIRST = 32 * 1024 * 1024;

/** Why a frozen file refuses a write. It is not the file that is to be mended. */
const FROZEN =
  "the metadata database is open for reading only, since its disk could not be written to";

/** Free pages are returned to the file system when there are this many (2 MiB), and this part of the file. */
const MIN_FREE_RATIO = 0.25;
const MIN_FREE_PAGES = 512;
/** How many pages are returned at a time: about 5 ms, for which writes have to wait. */
const VACUUM_PAGES = 256;

/**
 * A SQLite file to which only this process writes. A statement that fails rejects with a `Fault`: of
 * kind `no-space` if the disk or a quota is full, else of kind `storage`.
 */
export class SqliteFile implements Statements {
  /** Reads and writes in this thread, synchronously: for migrations. */
  readonly mainThreadDb: Kysely<Tables>;
  /**
   * Writes in a thread of its own, and reads in this one. A write may wait for the disk, up to 30 ms
   * while another file is synced, and would block the event loop for as long.
   */
  readonly db: Kysely<Tables>;
  readonly #path: string;
  readonly #isFrozen: boolean;
  readonly #database: Database;
  readonly #writer: WriterThread | undefined;
  readonly #statements: LRUCache<string, Statement<unknown, SQLQueryBindings[]>>;
  /** Checks the file while it is in use. */
  #background: IntegrityCheck | undefined;
  /** Whether damaged pages would be noticed only when they are read, since it was not closed cleanly. */
  #isUnchecked: boolean;
  #isDamaged = false;
  /** What the check has found, for the next statement. */
  #damage: DamageError | undefined;

  /**
   * Opens a file, which is created if it is missing. `:memory:` opens a database in memory, which
   * is lost when it is closed. `check` follows.
   *
   * @param mode `frozen` reads a file which nothing else changes, and changes nothing on the disk: each write is
   *   refused, see `isRefusedWrite`
   * @throws SQLiteError if the file cannot be opened or is not a database
   */
  constructor(path: string, mode: "writable" | "frozen" = "writable") {
    this.#path = path;
    this.#isFrozen = mode === "frozen";
    this.#isUnchecked = mode === "frozen" || !wasShutDownCleanly(path);
    this.#database = mode === "frozen" ? openFrozen(path) : openDatabase(path);
    this.#statements = new LRUCache({
      max: MAX_STATEMENTS,
      dispose: (statement) => statement.finalize(),
    });
    this.mainThreadDb = new Kysely({ dialect: new SqliteDialect(this, this) });
    if (path === ":memory:" || mode === "frozen") {
      this.db = this.mainThreadDb;
      return;
    }
    const writer = new WriterThread(path, BUSY_TIMEOUT, this);
    this.#writer = writer;
    const write: Statements = {
      run: (sql, parameters) => this.#ifIntact(() => writer.run(sql, parameters)),
    };
    this.db = new Kysely({ dialect: new SqliteDialect(this, write) });
  }

  /**
   * Checks the integrity of a file that was not closed cleanly, while signals and requests are answered. A
   * large one is checked while it is in use, since that takes seconds for a million blobs: if it is damaged,
   * the next statement fails.
   *
   * @param mustWait waits for it, however large the file is
   * @throws DamageError or Fault; see `isDamage`
   */
  async check(mustWait: boolean): Promise<void> {
    if (!this.#isUnchecked) return;
    if (!mustWait && fileBytes(this.#path) > MAX_CHECKED_FIRST) {
      this.#background = new IntegrityCheck(this.#path, (result) => this.#checked(result));
      return;
    }
    const query = CompiledQuery.raw("PRAGMA quick_check(1)");
    const { rows } = await this.db.executeQuery<{ readonly quick_check: unknown }>(query);
    this.#checked(String(rows[0]?.quick_check));
    if (this.#damage) throw this.#damage;
  }

  #checked(result: string): void {
    if (result === "ok") this.#isUnchecked = false;
    else this.#damage = new DamageError(result);
  }

  run(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    return this.#ifIntact(() => this.#run(sql, parameters));
  }

  #ifIntact<T>(work: () => T | Promise<T>): Promise<T> {
    return this.#mapErrors(() => {
      if (this.#damage) throw this.#damage;
      return work();
    });
  }

  /** What the file and its write-ahead log (up to about 16 MiB) take, in bytes. */
  async bytes(): Promise<number> {
    const file = (await this.#pragma("page_count")) * (await this.#pragma("page_size"));
    return file + fileBytes(`${this.#path}-wal`);
  }

  /** Returns free pages to the file system, if there are many. */
  async shrink(): Promise<void> {
    const free = await this.#pragma("freelist_count");
    if (free < MIN_FREE_PAGES || free < MIN_FREE_RATIO * (await this.#pragma("page_count"))) return;
    for (let left = free; left > 0; left -= VACUUM_PAGES) {
      await this.#write(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    }
    // The file becomes shorter when the write-ahead log is checkpointed.
    await this.#write("PRAGMA wal_checkpoint(PASSIVE)");
  }

  /** Runs a statement in the writer thread, between transactions. */
  async #write(statement: string): Promise<void> {
    await this.db.executeQuery(CompiledQuery.raw(statement));
  }

  async #pragma(name: string): Promise<number> {
    const { rows } = await this.run(`PRAGMA ${name}`, []);
    return Number(Object.values(rows[0] ?? {})[0]);
  }

  /** Refuses all writes from now on. */
  freeze(): void {
    this.#database.run("PRAGMA query_only = ON");
  }

  /** Waits for pending writes, closes the file, and marks the clean shutdown unless it is damaged. */
  async close(): Promise<void> {
    this.#background?.stop();
    await this.#writer?.close();
    this.#statements.clear();
    await this.#mapErrors(() => this.#database.close());
    const isIntact = !this.#isDamaged && !this.#isUnchecked;
    if (isIntact && this.#path !== ":memory:") markCleanShutdown(this.#path);
  }

  #run(sql: string, parameters: readonly unknown[]): StatementResult {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    // Kysely passes on what the queries of this folder bind: strings, numbers and null.
    const bindings = [...parameters] as SQLQueryBindings[];
    if (statement.columnNames.length > 0) return { rows: statement.all(...bindings), changes: 0 };
    return { rows: [], changes: statement.run(...bindings).changes };
  }

  async #mapErrors<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      // Without a clean-shutdown marker, the next start checks the file and rebuilds the metadata.
      this.#isDamaged ||= isDamage(cause);
      const code = sqliteCode(cause);
      if (this.#isFrozen && isRefusedWrite(cause)) {
        throw new Fault({ kind: "no-space", reason: FROZEN }, { cause });
      }
      const reason = code === undefined ? String(cause) : `${messageOf(cause)} (${code})`;
      throw new Fault(
        { kind: storageKind(code), reason: `the metadata database failed: ${reason}` },
        { cause },
      );
    }
  }
}

function openDatabase(path: string): Database {
  const database = new Database(path, { create: true, readwrite: true });
  try {
    clearCleanShutdown(path);
    database.run(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
    const [pages] = database.query("PRAGMA page_count").values().flat();
    // Only possible before the first table is created. Without it, the file would never shrink.
    if (pages === 0) database.run("PRAGMA auto_vacuum = INCREMENTAL");
    // WAL: readers do not wait for the writer. NORMAL: a power cut may lose the latest transactions, but
    // does not damage the file.
    database.run("PRAGMA journal_mode = WAL");
    // Finds here, and not in the writer thread, that the file system has no shared memory for the log.
    database.query("SELECT count(*) FROM sqlite_schema").get();
    database.run("PRAGMA synchronous = NORMAL");
    database.run("PRAGMA foreign_keys = ON");
    database.run(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}`);
    return database;
  } catch (cause) {
    database.close();
    throw cause;
  }
}

/**
 * Needs no shared memory for the write-ahead log, for which there may be no space: the log that a process left which
 * was killed is read alone, and so without locks. A database that has none is not to be given one.
 */
function openFrozen(path: string): Database {
  if (path === ":memory:") return new Database(path);
  const { SQLITE_OPEN_READONLY, SQLITE_OPEN_URI } = constants;
  const hasLog = fileBytes(`${path}-wal`) > 0;
  const url = `${pathToFileURL(path).href}?${hasLog ? "vfs=unix-none" : "immutable=1"}`;
  const database = new Database(url, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  if (hasLog) database.run("PRAGMA locking_mode = EXCLUSIVE");
  return database;
}

/** The integrity check of SQLite failed on a file that could be opened. */
class DamageError extends Error {
  override readonly name = "DamageError";
}

/** Whether an error, or its cause, says that the file is damaged or is not a SQLite database. */
export function isDamage(error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  if (cause instanceof DamageError) return true;
  return /^SQLITE_(?:CORRUPT|NOTADB)/.test(sqliteCode(cause) ?? "");
}

/** Whether a write failed since the file is open for reading only. */
export function isRefusedWrite(error: unknown): boolean {
  const cause = error instanceof Fault ? error.cause : error;
  return sqliteCode(cause) === "SQLITE_READONLY";
}

/** Codes for a file of the database that could not grow when it was opened. */
const NO_GROWTH = /^SQLITE_(?:FULL|IOERR_(?:SHMSIZE|WRITE))$/;

/** Whether a database could not be opened since there is no space for what writing to it needs. */
export function lacksSpace(cause: unknown): boolean {
  return NO_GROWTH.test(sqliteCode(cause) ?? "");
}

/**
 * Whether a file system cannot share memory between threads through a file, as the write-ahead log
 * needs it: some network and FUSE file systems cannot.
 */
export function lacksSharedMemory(cause: unknown): boolean {
  return sqliteCode(cause)?.startsWith("SQLITE_IOERR_SHM") ?? false;
}

function sqliteCode(cause: unknown): string | undefined {
  return cause instanceof SQLiteError || cause instanceof WriterError ? cause.code : undefined;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** 0 if there is no such file. */
function fileBytes(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch (cause) {
    throw storageFault(`measure ${path}`, cause);
  }
}
