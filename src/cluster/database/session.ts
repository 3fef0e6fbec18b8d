import { Client } from "pg";
import type { DatabaseSettings } from "../../config/database-settings.ts";
import { clientConfig, Sockets } from "./connection.ts";
import { CHANNEL } from "./message-sql.ts";

/** How long connecting may take, in milliseconds. */
const CONNECT_MS = 3000;
/** How long a heartbeat may take. A replica that is too late with two of them counts as gone. */
const STATEMENT_MS = 900;
/** How long the connection may take to end in an orderly way. */
const GOODBYE_MS = 200;

/**
 * The one connection that is kept: over it come notifications, and heartbeats go. So a connection that is dead
 * without a word is noticed with the next heartbeat, and whoever is believed to be alive hears.
 */
export class Session implements AsyncDisposable {
  readonly client: Client;
  readonly #sockets: Sockets;

  /** @param notified called with the text of each notification */
  constructor(settings: DatabaseSettings, notified: (text: string) => void) {
    this.#sockets = new Sockets();
    const limits = { connectMs: CONNECT_MS, statementMs: STATEMENT_MS };
    this.client = new Client(clientConfig(settings, limits, this.#sockets));
    // The next statement says what is wrong with the connection.
    this.client.on("error", () => {});
    this.client.on("notification", ({ payload }) => notified(payload ?? ""));
  }

  async open(): Promise<void> {
    await this.client.connect();
  }

  async listen(): Promise<void> {
    await this.client.query(`listen ${CHANNEL}`);
  }

  /** Has it called once the connection is known to be broken. */
  whenBroken(broken: () => void): void {
    this.client.on("error", broken);
    this.client.on("end", broken);
  }

  /** Ends the connection at once: whoever waits for it fails. */
  abort(): void {
    this.#sockets.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A server that hangs never confirms it.
    const timer = setTimeout(() => this.#sockets.destroy(), GOODBYE_MS);
    await this.client.end().catch(() => {});
    clearTimeout(timer);
    this.#sockets.destroy();
  }
}
