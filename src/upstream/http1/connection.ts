import { checkServerIdentity } from "node:tls";
import type { ByteBudget, Receiver } from "../../process/byte-budget.ts";
import { ReceivedBytes } from "./received-bytes.ts";
import type { ResponseHead } from "./response-head.ts";
import { ResponseParser } from "./response-parser.ts";

/** Seconds after which an idle connection is closed. */
const IDLE_SECONDS = 60;

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
  /** Set for HTTPS. */
  readonly tls?: Bun.TLSOptions;
  /** The name that a certificate has to be for, or an IP address. */
  readonly host: string;
}

/** An error with a code, as those of sockets are. */
class ConnectionError extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

/**
 * A connection to a server, for one request at a time (HTTP/1.1 without pipelining). It reads from its socket
 * only what is asked of it, and only while the byte budget has some left.
 */
export class Connection implements Receiver {
  readonly #budget: ByteBudget;
  readonly #endpoint: Endpoint;
  readonly #opened = Promise.withResolvers<void>();
  #socket: Bun.Socket<Connection> | undefined;
  /** The part of a request that the socket has not taken yet. */
  #unsent: Buffer | undefined;
  #parser = new ResponseParser();
  readonly #received: ReceivedBytes;
  /** What came of the body together with its head. */
  #first: Buffer | undefined;
  /** Called when bytes have arrived, or the connection has ended. */
  #wake: (() => void) | undefined;
  #error: Error | undefined;
  #isClosed = false;
  #onIdleEnd: (() => void) | undefined;
  #waitsSince: number | undefined;
  #heldBack = 0;

  private constructor(endpoint: Endpoint, budget: ByteBudget) {
    this.#endpoint = endpoint;
    this.#budget = budget;
    this.#received = new ReceivedBytes(budget);
    this.#opened.promise.catch(() => {});
  }

  /** @throws Error with the code of a socket or of TLS; the signal's reason if it is aborted */
  static async open(
    endpoint: Endpoint,
    budget: ByteBudget,
    signal: AbortSignal,
  ): Promise<Connection> {
    signal.throwIfAborted();
    const connection = new Connection(endpoint, budget);
    const { ip, port, tls } = endpoint;
    const onAbort = (): void => connection.destroy(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    Bun.connect({
      hostname: ip,
      port,
      data: connection,
      socket: HANDLER,
      ...(tls ? { tls: { ...tls, rejectUnauthorized: true } } : {}),
    }).catch((error: unknown) => connection.destroy(error));
    try {
      await connection.#opened.promise;
      return connection;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * How long the byte budget has kept this connection from reading the current response, in milliseconds: the
   * server is not to blame for that.
   */
  get heldBack(): number {
    const since = this.#waitsSince;
    return this.#heldBack + (since === undefined ? 0 : performance.now() - since);
  }

  /** Whether anything of the current response has arrived. */
  get hasAnswered(): boolean {
    return this.#parser.hasBegun;
  }

  /** Whether the response was received to its end, and another request may follow. */
  get isReusable(): boolean {
    return !this.#isClosed && this.#received.isEmpty && this.#parser.isReusable;
  }

  /**
   * Sends a request, and waits for the head of its response.
   *
   * @throws HttpSyntaxError; Error with a code
   */
  async request(lines: Buffer): Promise<ResponseHead> {
    this.#onIdleEnd = undefined;
    this.#socket?.timeout(0);
    this.#heldBack = 0;
    this.#parser = new ResponseParser();
    // The last reader may have wanted none of its body.
    this.#first = undefined;
    this.#unsent = lines;
    this.#send();
    for (;;) {
      // Without asking the budget: a head is small, and somebody waits for it.
      if (this.#received.isEmpty) this.resume();
      const bytes = await this.#next();
      if (!bytes) throw new ConnectionError("ECONNRESET");
      const body = this.#parser.push(bytes);
      if (!this.#parser.head) continue;
      if (body.byteLength > 0) this.#first = body;
      return this.#parser.head;
    }
  }

  /**
   * The next bytes of the body, which nobody else writes to; `undefined` at its end.
   *
   * @throws HttpSyntaxError; Error with a code
   */
  async read(): Promise<Buffer | undefined> {
    const first = this.#first;
    this.#first = undefined;
    if (first) return first;
    while (!this.#parser.isDone) {
      if (this.#received.isEmpty && !this.#isClosed) {
        this.#waitsSince = performance.now();
        this.#budget.admit(this);
      }
      const bytes = await this.#next();
      if (!bytes) {
        this.#parser.close();
        if (!this.#parser.isDone) throw new ConnectionError("ECONNRESET");
        break;
      }
      const body = this.#parser.push(bytes);
      if (body.byteLength > 0) return body;
    }
    return undefined;
  }

  /** Keeps the connection open for a while. `onEnd` is called if the server or the time ends it. */
  idle(onEnd: () => void): void {
    this.#onIdleEnd = onEnd;
    this.#socket?.timeout(IDLE_SECONDS);
    this.#socket?.resume();
  }

  /** Closes the connection. What waits for it fails with the given error. */
  destroy(error: unknown = new ConnectionError("ECONNRESET")): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error));
    this.#ended();
    // What a server sent before it closed the connection may still be there.
    this.#received.clear();
    this.#socket?.terminate();
  }

  /** For the byte budget. */
  pause(): void {
    this.#waitsSince = performance.now();
    this.#socket?.pause();
  }

  /** For the byte budget. */
  resume(): void {
    this.#stopWaiting();
    this.#socket?.resume();
  }

  /** For `HANDLER`. */
  opened(socket: Bun.Socket<Connection>): void {
    this.#socket = socket;
    if (this.#isClosed) socket.terminate();
    else if (!this.#endpoint.tls) this.#opened.resolve();
  }

  /** For `HANDLER`: the TLS handshake has ended. */
  secured(socket: Bun.Socket<Connection>, isTrusted: boolean, error: Error | null): void {
    // Bun checks the name as well; that is not documented.
    const problem = isTrusted
      ? checkServerIdentity(this.#endpoint.host, socket.getPeerCertificate())
      : (error ?? new ConnectionError("EPROTO"));
    if (problem) this.destroy(problem);
    else this.#opened.resolve();
  }

  /** For `HANDLER`. */
  arrived(bytes: Buffer): void {
    this.#socket?.pause();
    this.#budget.leave(this);
    this.#stopWaiting();
    if (this.#onIdleEnd) {
      // An answer to nothing.
      this.destroy();
      return;
    }
    this.#received.add(bytes);
    this.#wake?.();
  }

  /** For `HANDLER`. */
  drained(): void {
    this.#send();
  }

  /** For `HANDLER`: the connection has ended, in order if there is no error. */
  closed(error: unknown): void {
    if (error instanceof Error) this.#error ??= error;
    this.#ended();
  }

  #ended(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#budget.leave(this);
    this.#stopWaiting();
    this.#opened.reject(this.#error ?? new ConnectionError("ECONNRESET"));
    this.#onIdleEnd?.();
    this.#wake?.();
  }

  #send(): void {
    const unsent = this.#unsent;
    if (!unsent || !this.#socket) return;
    const written = Math.max(0, this.#socket.write(unsent));
    this.#unsent = written < unsent.byteLength ? unsent.subarray(written) : undefined;
  }

  /** The next bytes to parse; `undefined` once the server has closed the connection. */
  async #next(): Promise<Buffer | undefined> {
    while (this.#received.isEmpty) {
      if (this.#error) throw this.#error;
      if (this.#isClosed) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#received.take();
  }

  #stopWaiting(): void {
    this.#heldBack = this.heldBack;
    this.#waitsSince = undefined;
  }
}

const HANDLER: Bun.SocketHandler<Connection> = {
  open: (socket) => socket.data.opened(socket),
  handshake: (socket, isTrusted, error) => socket.data.secured(socket, isTrusted, error),
  data: (socket, bytes) => socket.data.arrived(bytes),
  drain: (socket) => socket.data.drained(),
  close: (socket, error) => socket.data.closed(error),
  error: (socket, error) => socket.data.closed(error),
  timeout: (socket) => socket.data.destroy(),
  connectError: (socket, error) => socket.data.closed(error),
};
