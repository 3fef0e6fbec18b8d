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

/** The result of a statement. */
export interface StatementResult {
  readonly rows: readonly unknown[];
  /** How many rows were changed. */
  readonly changes: number;
}

/** Runs SQL statements one at a time, in the order of the calls. */
export interface Statements {
  run(sql: string, parameters: readonly unknown[]): Promise<StatementResult>;
}

/**
 * A Kysely dialect for SQLite with two connections: queries outside a transaction go to the reader;
 * writes and transactions go to the writer, one transaction at a time.
 */
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
  /** If it were false, Kysely would serialize reads with writes. */
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
  /** The open transaction of this connection, which takes all its statements. */
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
    const outside = SelectQueryNode.is(query) ? this.#reader : this.#writer;
    const { rows, changes } = await (this.#transaction ?? outside).run(sql, parameters);
    // Kysely infers the type of the rows from the query; the driver has no type for them.
    return { rows: rows as R[], numAffectedRows: BigInt(changes) };
  }

  // oxlint-disable-next-line require-yield -- it always throws
  async *streamQuery(): AsyncGenerator<never> {
    throw new Error("streaming is not supported: query pages instead");
  }
}

interface Transaction extends Statements {
  /** Ends the transaction. After a commit that fails it is still open, and has to be rolled back. */
  end(how: "commit" | "rollback"): Promise<void>;
}

/** Shares the writer connection: statements outside the open transaction wait for its end. */
class SerializedWriter implements Statements {
  readonly #writer: Statements;
  /** Resolves when the open transaction has ended. */
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
    const release = (): void => {
      this.#open = undefined;
      resolve();
    };
    try {
      await this.#writer.run("begin", []);
    } catch (error) {
      release();
      throw error;
    }
    return {
      run: (sql, parameters) => this.#writer.run(sql, parameters),
      end: async (how) => {
        if (how === "commit") await this.#writer.run(how, []);
        // SQLite may have rolled back by itself, for example on a full disk; then this one fails.
        else await this.#writer.run(how, []).catch(() => {});
        release();
      },
    };
  }
}
