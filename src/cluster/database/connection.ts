import { Socket } from "node:net";
import { type ClientConfig, type CustomTypesConfig, types } from "pg";
import type { DatabaseSettings } from "../../config/database-settings.ts";

/** The schema that has the tables, so that other programs can use the same database. */
export const SCHEMA = "entrepot";

export interface ConnectionLimits {
  /** How long connecting may take, in milliseconds. */
  readonly connectMs: number;
  /** How long a statement may take until the server ends it. */
  readonly statementMs: number;
}

/**
 * How much later than the server the client ends a statement. The server's end leaves the connection
 * usable; the client's is for a server that hangs.
 */
const GRACE_MS = 100;

/** The sockets of connections: a server that hangs is left by destroying them, since it never says goodbye. */
export class Sockets {
  readonly #open = new Set<Socket>();

  readonly create = (): Socket => {
    const socket = new Socket();
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    return socket;
  };

  destroy(): void {
    for (const socket of this.#open) socket.destroy();
  }
}

/**
 * What the client is told of a connection. All of it is given, since the client takes what is not from
 * environment variables and files.
 */
export function clientConfig(
  settings: DatabaseSettings,
  { connectMs, statementMs }: ConnectionLimits,
  sockets: Sockets,
): ClientConfig {
  const { host, port, user, password, database, tls } = settings;
  return {
    host,
    port,
    user,
    password,
    database,
    ssl: tls === "none" ? false : tlsOptions(tls),
    application_name: "entrepot",
    client_encoding: "UTF8",
    keepAlive: true,
    connectionTimeoutMillis: connectMs,
    statement_timeout: statementMs,
    query_timeout: statementMs + GRACE_MS,
    // A transaction whose client is gone must not hold locks.
    idle_in_transaction_session_timeout: 10_000,
    // What a crash of the server loses costs a request; orders and leases are written with it on.
    options: `-c search_path=${SCHEMA} -c synchronous_commit=off -c extra_float_digits=1`,
    types: TYPES,
    stream: sockets.create,
  };
}

function tlsOptions({
  ca,
  verify,
}: Exclude<DatabaseSettings["tls"], "none">): Exclude<ClientConfig["ssl"], boolean | undefined> {
  const trusted = ca === undefined ? {} : { ca };
  if (verify === "full") return { ...trusted, rejectUnauthorized: true };
  if (verify === "nothing") return { ...trusted, rejectUnauthorized: false };
  return { ...trusted, rejectUnauthorized: true, checkServerIdentity: () => undefined };
}

/** Sums and counts are far below 2^53. */
const TYPES: CustomTypesConfig = {
  getTypeParser(oid, format) {
    // The parsers of pg take what it gives them.
    return oid === types.builtins.INT8 && format !== "binary"
      ? Number
      : types.getTypeParser(oid, format);
  },
};
