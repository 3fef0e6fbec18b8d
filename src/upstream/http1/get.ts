import type { ByteBudget } from "../../process/byte-budget.ts";
import { Connection, type Endpoint } from "./connection.ts";
import type { IdleConnections } from "./idle-connections.ts";
import type { ResponseHead } from "./response-head.ts";

/** Reads a body at its own pace: nothing is received that is not asked for. */
export interface BodyReader {
  read(): Promise<{ readonly done: true } | { readonly done: false; readonly value: Uint8Array }>;
  /** Gives the rest up. */
  cancel(reason?: unknown): Promise<void>;
  /** Milliseconds of waiting for this machine, not for the server. */
  readonly heldBack?: number;
}

export interface GetResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: BodyReader;
}

export interface GetRequest {
  readonly endpoint: Omit<Endpoint, "tls">;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Whether each chunk is only used until the next one is read. By default, it is the reader's. */
  readonly lends?: boolean | undefined;
}

/** What a GET is sent over. */
export interface GetConnections {
  readonly idle: IdleConnections;
  readonly budget: ByteBudget;
  /** Set for HTTPS. */
  readonly tls: Bun.TLSOptions | undefined;
}

/**
 * Sends a GET over an idle or a new connection, and waits for the head of its response. The signal ends the
 * connection also while the body is read.
 *
 * @throws HttpSyntaxError; Error with the code of a socket or of TLS; the signal's reason if it is aborted
 */
export async function get(
  request: GetRequest,
  { idle, budget, tls }: GetConnections,
): Promise<GetResponse> {
  const { signal } = request;
  const endpoint = { ...request.endpoint, ...(tls ? { tls } : {}) };
  const lines = requestLines(request);
  const reused = idle.take(endpoint.ip);
  if (reused) {
    try {
      return await exchange(reused, lines, request, idle);
    } catch (error) {
      // The server may have closed an idle connection just now. A GET may be sent twice (RFC 9110
      // section 9.2.2).
      if (signal.aborted || reused.hasAnswered) throw error;
    }
  }
  return exchange(await Connection.open(endpoint, budget, signal), lines, request, idle);
}

async function exchange(
  connection: Connection,
  lines: Buffer,
  { endpoint, signal }: GetRequest,
  idle: IdleConnections,
): Promise<GetResponse> {
  const onAbort = (): void => connection.destroy(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  let isOver = false;
  const end = (error?: unknown): void => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", onAbort);
    if (connection.isReusable) idle.put(endpoint.ip, connection);
    else connection.destroy(error);
  };
  let head: ResponseHead;
  try {
    head = await connection.request(lines);
  } catch (error) {
    end(error);
    throw error;
  }
  const body: BodyReader = {
    get heldBack() {
      return connection.heldBack;
    },
    async read() {
      try {
        const value = await connection.read();
        if (value) return { done: false, value };
        end();
        return { done: true };
      } catch (error) {
        end(error);
        throw error;
      }
    },
    async cancel(reason) {
      end(reason);
    },
  };
  return { status: head.status, headers: head.headers, body };
}

/** @throws TypeError if a header cannot be sent, such as one with a line break */
function requestLines({ url, headers }: GetRequest): Buffer {
  const lines = [`GET ${url.pathname}${url.search} HTTP/1.1`];
  for (const [name, value] of new Headers(headers)) lines.push(`${name}: ${value}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}
