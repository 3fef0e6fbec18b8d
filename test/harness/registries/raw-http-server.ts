import net from "node:net";
import tls from "node:tls";

/** The head of a request as it was received; a body is read and discarded. */
export interface RawRequest {
  readonly method: string;
  /** Path and query, exactly as received. */
  readonly target: string;
  readonly headers: Headers;
}

/** How a response is sent, if not completely, correctly framed and without delay. */
export interface Delivery {
  /** Nothing is sent before this promise settles. */
  readonly hold?: Promise<unknown>;
  /** The connection ends without a response. */
  readonly hangUp?: CutBy;
  /** Stalls after this many bytes of the body until `released` or until the client disconnects. */
  readonly stallAfter?: number;
  /** Ends the connection after this many bytes of the body. */
  readonly cutAfter?: number;
  readonly cutBy?: CutBy;
  readonly bytesPerSecond?: number;
  readonly framing?: "length" | "chunked" | "close";
}

/** `close` is a clean end (FIN), `reset` a hard one (RST). */
export type CutBy = "close" | "reset";

export interface RawResponse {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Iterable<Uint8Array>;
  /** Whether only the headers are sent, as for HEAD. */
  readonly bodiless: boolean;
  readonly delivery: Delivery;
  readonly released: () => Promise<void>;
  /** Called with the size of each chunk of the body once it is sent. */
  readonly onSent: (bytes: number) => void;
}

/**
 * How a response ended: sent completely, cut by this server on purpose, or the client disconnected.
 */
export type Outcome = "complete" | "cut" | "gone";

const MAX_CHUNK = 64 * 1024;
const TICK_MS = 20;

/** HTTP/1.1 over raw sockets, since an HTTP server does not let a handler violate the protocol. */
export class RawHttpServer {
  readonly #serve: (request: RawRequest, sendResponse: SendResponse) => Promise<void>;
  readonly #host: string;
  readonly #tls: { key: string; cert: string } | undefined;
  readonly #sockets = new Set<net.Socket>();
  #server: net.Server | undefined;
  port = 0;
  /** Connections accepted since it was created. */
  accepted = 0;

  constructor(
    host: string,
    serve: (request: RawRequest, sendResponse: SendResponse) => Promise<void>,
    secure?: { key: string; cert: string },
  ) {
    this.#host = host;
    this.#serve = serve;
    this.#tls = secure;
  }

  /** Currently open connections. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Listens; after a `stop`, on the same port. */
  async start(): Promise<void> {
    if (this.#server) return;
    const accept = (socket: net.Socket) => {
      this.accepted++;
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      void serveConnection(new Connection(socket), this.#serve);
    };
    const server = this.#tls ? tls.createServer(this.#tls, accept) : net.createServer(accept);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, this.#host, resolve);
    });
    const address = server.address();
    if (typeof address === "object" && address) this.port = address.port;
    this.#server = server;
  }

  /** Stops listening and destroys all connections. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** Sends the response to a request; called once per request. */
export type SendResponse = (response: RawResponse) => Promise<Outcome>;

async function serveConnection(
  connection: Connection,
  serve: (request: RawRequest, sendResponse: SendResponse) => Promise<void>,
): Promise<void> {
  for (;;) {
    const request = await connection.nextRequest();
    if (!request) break;
    await serve(request, (response) => send(connection, response));
    if (request.headers.get("connection")?.toLowerCase() === "close") break;
  }
  connection.end("close");
}

async function send(connection: Connection, response: RawResponse): Promise<Outcome> {
  const { delivery } = response;
  if (delivery.hold) await Promise.race([delivery.hold, connection.closed]);
  if (delivery.hangUp) return connection.end(delivery.hangUp);
  const { framing = "length", cutAfter = Infinity } = delivery;
  const headers = response.headers.filter(
    ([name]) => framing === "length" || !/^content-length$/i.test(name),
  );
  if (framing === "chunked") headers.push(["Transfer-Encoding", "chunked"]);
  if (framing === "close") headers.push(["Connection", "close"]);
  const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await connection.write(`HTTP/1.1 ${response.status} Scripted\r\n${head}\r\n`);
  if (response.bodiless) return connection.isOpen ? "complete" : "gone";

  let sent = 0;
  const stops = [delivery.stallAfter, delivery.cutAfter].filter((at) => at !== undefined);
  const limiter = new RateLimiter(delivery.bytesPerSecond);
  for (const chunk of splitBody(response.body, stops, limiter.chunkSize)) {
    if (sent === delivery.stallAfter) await Promise.race([response.released(), connection.closed]);
    if (sent >= cutAfter) return connection.end(delivery.cutBy ?? "close");
    await limiter.wait(sent);
    if (framing === "chunked") await connection.write(`${chunk.byteLength.toString(16)}\r\n`);
    await connection.write(chunk);
    if (framing === "chunked") await connection.write("\r\n");
    if (!connection.isOpen) return "gone";
    sent += chunk.byteLength;
    response.onSent(chunk.byteLength);
  }
  if (sent === delivery.stallAfter) await Promise.race([response.released(), connection.closed]);
  if (sent >= cutAfter) return connection.end(delivery.cutBy ?? "close");
  if (framing === "chunked") await connection.write("0\r\n\r\n");
  if (framing === "close") connection.end("close");
  const declared = Number(headers.find(([name]) => /^content-length$/i.test(name))?.[1] ?? sent);
  // After a wrong Content-Length the client cannot tell where the next response begins.
  if (framing === "length" && declared !== sent) return connection.end("close");
  return framing === "close" || connection.isOpen ? "complete" : "gone";
}

/** Splits a body into chunks of at most `largest` bytes that end at each of `stops`. */
function* splitBody(
  body: Iterable<Uint8Array>,
  stops: readonly number[],
  largest: number,
): Generator<Uint8Array> {
  let position = 0;
  for (const chunk of body) {
    for (let start = 0; start < chunk.byteLength;) {
      const wanted = Math.min(largest, chunk.byteLength - start);
      const stop = Math.min(...stops.filter((at) => at > position), position + wanted);
      yield chunk.subarray(start, start + stop - position);
      start += stop - position;
      position = stop;
    }
  }
}

/** Limits the rate of a body: one chunk per tick. */
class RateLimiter {
  readonly chunkSize: number;
  readonly #rate: number | undefined;
  readonly #startedAt = performance.now();

  constructor(bytesPerSecond: number | undefined) {
    this.#rate = bytesPerSecond;
    const bytesPerTick = ((bytesPerSecond ?? Infinity) * TICK_MS) / 1000;
    this.chunkSize = Math.max(1, Math.min(MAX_CHUNK, Math.floor(bytesPerTick)));
  }

  async wait(sent: number): Promise<void> {
    if (this.#rate === undefined) return;
    const ahead = (sent / this.#rate) * 1000 - (performance.now() - this.#startedAt);
    if (ahead > 0) await Bun.sleep(ahead);
  }
}

/** One connection: parses requests, and writes bytes with backpressure. */
class Connection {
  readonly #socket: net.Socket;
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);
  #more = Promise.withResolvers<void>();
  #ended = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    const closing = Promise.withResolvers<void>();
    this.closed = closing.promise;
    const end = () => {
      this.#ended = true;
      this.#more.resolve();
    };
    socket.on("data", (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#more.resolve();
    });
    socket.on("end", end);
    socket.on("error", () => {}); // `close` follows.
    socket.on("close", () => {
      end();
      closing.resolve();
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable;
  }

  async nextRequest(): Promise<RawRequest | undefined> {
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end >= 0) {
        const request = parseHead(this.#received.subarray(0, end).toString("latin1"));
        this.#received = this.#received.subarray(end + 4);
        await this.#skip(Number(request.headers.get("content-length") ?? 0));
        return request;
      }
      if (this.#ended) return undefined;
      await this.#wait();
    }
  }

  async write(data: string | Uint8Array): Promise<void> {
    if (!this.isOpen) return;
    const flushed = new Promise<void>((resolve) => {
      this.#socket.write(data, () => resolve());
    });
    await Promise.race([flushed, this.closed]);
  }

  end(how: CutBy): "cut" {
    if (how === "reset") this.#socket.resetAndDestroy();
    else this.#socket.end();
    return "cut";
  }

  async #skip(length: number): Promise<void> {
    while (this.#received.byteLength < length && !this.#ended) await this.#wait();
    this.#received = this.#received.subarray(length);
  }

  async #wait(): Promise<void> {
    this.#more = Promise.withResolvers<void>();
    await this.#more.promise;
  }
}

function parseHead(head: string): RawRequest {
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { method, target, headers };
}
