import {
  Kysely,
  type PostgresCursor,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from "kysely";
import { Client, Pool, type PoolClient } from "pg";
import type { DatabaseSettings } from "../../config/database-settings.ts";
import { clientConfig, Sockets } from "./connection.ts";
import { isOfStatement } from "./database-error.ts";

export interface PoolLimits {
  readonly connections: number;
  /** How long a statement may take, in milliseconds. */
  readonly statementMs: number;
  /** How many connections are kept though they are idle. Default: none. */
  readonly kept?: number;
  /** How long connecting, or waiting for a connection, may take. Default: 2,000: with TLS, it takes seven round trips. */
  readonly connectMs?: number;
  /** Called before each use of a connection. Throws if the database is not to be asked now. */
  readonly assertUp?: () => void;
}

/** A database that is reached over connections which come and go. */
export interface Database<Tables> {
  readonly db: Kysely<Tables>;
  /** Ends all connections, also those to a server that hangs. */
  close(): Promise<void>;
}

const CONNECT_MS = 2000;
const IDLE_MS = 10_000;
/** How long connections may take to end in an orderly way. */
const GOODBYE_MS = 500;

/**
 * Opens no connection yet: they are opened when they are needed, and closed when they are not.
 *
 * @param settings are read for each connection: they may change
 */
export function openDatabase<Tables>(
  settings: DatabaseSettings,
  limits: PoolLimits,
): Database<Tables> {
  const { connections, statementMs, kept = 0 } = limits;
  const { connectMs = CONNECT_MS, assertUp = () => {} } = limits;
  const sockets = new Sockets();
  const pool = new Pool({
    Client: class extends Client {
      // The password may have changed since the last connection was opened.
      constructor() {
        super(clientConfig(settings, { connectMs, statementMs }, sockets));
      }
    },
    connectionTimeoutMillis: connectMs,
    max: connections,
    min: kept,
    idleTimeoutMillis: IDLE_MS,
    allowExitOnIdle: true,
  });
  // Whoever uses a connection that breaks has its error from there; one that is idle is replaced.
  pool.on("connect", (client) => client.on("error", () => {}));
  pool.on("error", () => {});
  const dialect = new PostgresDialect({ pool: new GivingUpPool(pool, assertUp) });
  const db = new Kysely<Tables>({ dialect });
  return {
    db,
    async close() {
      const goodbye = setTimeout(() => sockets.destroy(), GOODBYE_MS);
      await db.destroy();
      clearTimeout(goodbye);
    },
  };
}

/**
 * A pool that never gives a connection again on which a statement got no answer, or one that may be the last.
 * Kysely gives it back as if it were good, and everybody who got it then would wait for the answer to a statement
 * of somebody else.
 */
class GivingUpPool implements PostgresPool {
  readonly options = {};
  readonly #pool: Pool;
  readonly #assertUp: () => void;

  constructor(pool: Pool, assertUp: () => void) {
    this.#pool = pool;
    this.#assertUp = assertUp;
  }

  async connect(): Promise<PostgresPoolClient> {
    this.#assertUp();
    return new GivingUpClient(await this.#pool.connect());
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}

class GivingUpClient implements PostgresPoolClient {
  readonly #client: PoolClient;
  #failure: unknown;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  query<Row>(statement: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<Row>>;
  query<Row>(cursor: PostgresCursor<Row>): PostgresCursor<Row>;
  query<Row>(
    statement: string | PostgresCursor<Row>,
    parameters: readonly unknown[] = [],
  ): Promise<PostgresQueryResult<Row>> | PostgresCursor<Row> {
    if (typeof statement !== "string") throw new Error("cursors are not used: read pages instead");
    return this.#run(statement, parameters);
  }

  async #run<Row>(
    statement: string,
    parameters: readonly unknown[],
  ): Promise<PostgresQueryResult<Row>> {
    // Another statement, such as a rollback, would wait behind the one that is not answered.
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const result: unknown = await this.#client.query(statement, [...parameters]);
      // Kysely infers the rows from the statement, and says what it reads of the client's result.
      return result as PostgresQueryResult<Row>;
    } catch (error) {
      if (!isOfStatement(error)) this.#failure = error;
      throw error;
    }
  }

  release(mustDestroy = false): void {
    this.#client.release(mustDestroy || this.#failure !== undefined);
  }
}
