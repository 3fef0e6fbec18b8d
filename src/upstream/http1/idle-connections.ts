import type { Connection } from "./connection.ts";

/** The most idle connections of one pool: as many as one node uses at once, and some. */
const MAX_IDLE = 32;

/** Connections that wait for their next request, by the address that they lead to. */
export class IdleConnections {
  readonly #idle = new Map<Connection, string>();
  #isClosed = false;

  /** The one that was used last: the others may soon be closed by their server. */
  take(ip: string): Connection | undefined {
    const found = [...this.#idle].findLast(([, address]) => address === ip)?.[0];
    if (found) this.#idle.delete(found);
    return found;
  }

  put(ip: string, connection: Connection): void {
    if (this.#isClosed || this.#idle.size >= MAX_IDLE) {
      connection.destroy();
      return;
    }
    this.#idle.set(connection, ip);
    connection.idle(() => this.#idle.delete(connection));
  }

  /** Closes all, and each that is put later. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#idle.keys()) connection.destroy();
    this.#idle.clear();
  }
}
