import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryResult,
  SelectQueryNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";

/** What a statement has brought. */
export interface StatementResult {
  readonly rows: readonly unknown[];
  /** Rows that were changed. */
  readonly changes: number;
}

/** Runs statements one after the other, in the order in which it was asked. */
export interface Statements {
  run(sql: string, parameters: readonly unknown[]): Promise<StatementResult>;
}

/** SQLite for kysely, with one connection to read from and one to write to. */
export class SqliteDialect implements Dialect {
  readonly #reader: Statements;
  readonly #writer: Statements;

  constructor(reader: Statements, writer: Statements) {
    this.#reader = reader;
    this.#writer = writer;
  }

  createDriver(): Driver {
    return new SqliteDriver(this.#reader, this.#writer);
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new ConcurrentReadAdapter();
  }

  createIntrospector(db: Kysely<unknown>): SqliteIntrospector {
    return new SqliteIntrospector(db);
  }
}

class ConcurrentReadAdapter extends SqliteAdapter {
  /** With false, who reads would wait for who writes. */
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class SqliteDriver implements Driver {
  readonly #reader: Statements;
  readonly #writer: SerializedWriter;

  constructor(reader: Statements, writer: Statements) {
    this.#reader = reader;
    this.#writer = new SerializedWriter(writer);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    return new SqliteConnection(this.#reader, this.#writer);
  }

  beginTransaction(connection: SqliteConnection): Promise<void> {
    return connection.begin();
  }

  commitTransaction(connection: SqliteConnection): Promise<void> {
    return connection.end("commit");
  }

  rollbackTransaction(connection: SqliteConnection): Promise<void> {
    return connection.end("rollback");
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}

class SqliteConnection implements DatabaseConnection {
  readonly #reader: Statements;
  readonly #writer: SerializedWriter;
  /** Where the statements of the transaction go that is open here. */
  #transaction: Transaction | undefined;

  constructor(reader: Statements, writer: SerializedWriter) {
    this.#reader = reader;
    this.#writer = writer;
  }

  async begin(): Promise<void> {
    this.#transaction = await this.#writer.begin();
  }

  async end(how: "commit" | "rollback"): Promise<void> {
    const transaction = this.#transaction;
    if (how === "rollback") this.#transaction = undefined;
    await transaction?.end(how);
    this.#transaction = undefined;
  }

  async executeQuery<R>({ query, sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const only = SelectQueryNode.is(query) ? this.#reader : this.#writer;
    const { rows, changes } = await (this.#transaction ?? only).run(sql, parameters);
    // Kysely knows from the query what the rows hold; SQLite has no say in it.
    return { rows: rows as R[], numAffectedRows: BigInt(changes) };
  }

  // oxlint-disable-next-line require-yield -- that nothing is streamed is what it says
  async *streamQuery(): AsyncGenerator<never> {
    throw new Error("the index streams nothing: ask for pages");
  }
}

interface Transaction extends Statements {
  /** A commit that fails leaves it open: a rollback has to follow. */
  end(how: "commit" | "rollback"): Promise<void>;
}

/** One connection for all who write: what comes in the midst of a transaction waits for its end. */
class SerializedWriter implements Statements {
  readonly #writer: Statements;
  #open: Promise<void> | undefined;

  constructor(writer: Statements) {
    this.#writer = writer;
  }

  async run(sql: string, parameters: readonly unknown[]): Promise<StatementResult> {
    while (this.#open) await this.#open;
    return this.#writer.run(sql, parameters);
  }

  async begin(): Promise<Transaction> {
    while (this.#open) await this.#open;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#open = promise;
    const free = (): void => {
      this.#open = undefined;
      resolve();
    };
    try {
      await this.#writer.run("begin", []);
    } catch (error) {
      free();
      throw error;
    }
    return {
      run: (sql, parameters) => this.#writer.run(sql, parameters),
      end: async (how) => {
        if (how === "commit") await this.#writer.run(how, []);
        // SQLite may have rolled back by itself, on a full disk for one; then there is nothing to do.
        else await this.#writer.run(how, []).catch(() => {});
        free();
      },
    };
  }
}
