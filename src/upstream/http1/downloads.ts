import { ByteBudget } from "../../process/byte-budget.ts";
import { get, type GetRequest, type GetResponse } from "./get.ts";
import { IdleConnections } from "./idle-connections.ts";

/** Sends GETs to one host, over connections that are used again. */
export interface Downloads {
  /**
   * Sends a GET, and waits for the head of its response.
   *
   * @throws Error with the code of a socket, of TLS or of HTTP's syntax; the signal's reason if it is aborted
   */
  get(request: GetRequest): Promise<GetResponse>;
  /** Closes idle connections. Requests in flight finish. */
  close(): void;
}

/** Opens the downloads of one host. The TLS options are set for HTTPS. */
export type OpenDownloads = (tls: Bun.TLSOptions | undefined) => Downloads;

/** Connections have ended with the thread that had them: no server is to blame. */
export class ConnectionsLost extends Error {
  readonly code = "ECONNRESET";
}

/** Downloads by this thread. */
export class LocalDownloads implements Downloads {
  readonly #idle = new IdleConnections();
  readonly #budget: ByteBudget;
  readonly #tls: Bun.TLSOptions | undefined;

  /** @param tls set for HTTPS */
  constructor(budget: ByteBudget, tls: Bun.TLSOptions | undefined) {
    this.#budget = budget;
    this.#tls = tls;
  }

  get(request: GetRequest): Promise<GetResponse> {
    return get(request, { idle: this.#idle, budget: this.#budget, tls: this.#tls });
  }

  close(): void {
    this.#idle.close();
  }
}

/** Downloads by this thread, of all hosts together within a budget. */
export function localDownloads(budget: ByteBudget = new ByteBudget(Infinity)): OpenDownloads {
  return (tls) => new LocalDownloads(budget, tls);
}
