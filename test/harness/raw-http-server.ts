import net from "node:net";
import tls from "node:tls";

/** A request as it came, head only: a body is read and dropped. */
export interface WireRequest {
  readonly method: string;
  /** Path and query, untouched. */
  readonly target: string;
  readonly headers: Headers;
}

/** How the bytes of a reply go out, where that is not simply all at once and in good order. */
export interface Playback {
  /** Nothing at all is sent before this settles. */
  readonly hold?: Promise<unknown>;
  /** Instead of an answer the connection ends. */
  readonly hangUp?: CutBy;
  /** Stands still after this many bytes of the body until `released` or the client goes away. */
  readonly stallAfter?: number;
  /** Ends the connection after this many bytes of the body. */
  readonly cutAfter?: number;
  readonly cutBy?: CutBy;
  readonly bytesPerSecond?: number;
  readonly framing?: "length" | "chunked" | "close";
}

/** `close` is a clean end (FIN), `reset` a hard one (RST). */
export type CutBy = "close" | "reset";

export interface WireReply {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Iterable<Uint8Array>;
  /** HEAD: the headers of a body that is not sent. */
  readonly bodiless: boolean;
  readonly playback: Playback;
  readonly released: () => Promise<void>;
  /** Told of each piece of body once it is on its way. */
  readonly onSent: (bytes: number) => void;
}

/** How an answer ended: sent as a whole, cut by us as told, or the client went away. */
export type Outcome = "complete" | "cut" | "gone";

const PIECE = 64 * 1024;
const TICK_MS = 20;

/** HTTP/1.1 over raw sockets, since no HTTP server lets one break its rules. */
export class WireServer {
  readonly #serve: (request: WireRequest, answer: Answer) => Promise<void>;
  readonly #host: string;
  readonly #tls: { key: string; cert: string } | undefined;
  readonly #sockets = new Set<net.Socket>();
  #server: net.Server | undefined;
  port = 0;
  /** Connections that were ever accepted. */
  accepted = 0;

  constructor(
    host: string,
    serve: (request: WireRequest, answer: Answer) => Promise<void>,
    secure?: { key: string; cert: string },
  ) {
    this.#host = host;
    this.#serve = serve;
    this.#tls = secure;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Listens: on the same port where it did before. */
  async start(): Promise<void> {
    if (this.#server) return;
    const accept = (socket: net.Socket) => {
      this.accepted++;
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      void converse(new Connection(socket), this.#serve);
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

  /** Stops listening and ends every connection. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** Sends the one reply to a request. */
export type Answer = (reply: WireReply) => Promise<Outcome>;

async function converse(
  connection: Connection,
  serve: (request: WireRequest, answer: Answer) => Promise<void>,
): Promise<void> {
  for (;;) {
    const request = await connection.nextRequest();
    if (!request) break;
    await serve(request, (reply) => send(connection, reply));
    if (request.headers.get("connection")?.toLowerCase() === "close") break;
  }
  connection.end("close");
}

async function send(connection: Connection, reply: WireReply): Promise<Outcome> {
  const { playback } = reply;
  if (playback.hold) await Promise.race([playback.hold, connection.closed]);
  if (playback.hangUp) return connection.end(playback.hangUp);
  const { framing = "length", cutAfter = Infinity } = playback;
  const headers = reply.headers.filter(
    ([name]) => framing === "length" || !/^content-length$/i.test(name),
  );
  if (framing === "chunked") headers.push(["Transfer-Encoding", "chunked"]);
  if (framing === "close") headers.push(["Connection", "close"]);
  const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await connection.write(`HTTP/1.1 ${reply.status} Scripted\r\n${head}\r\n`);
  if (reply.bodiless) return connection.isOpen ? "complete" : "gone";

  let sent = 0;
  const stops = [playback.stallAfter, playback.cutAfter].filter((at) => at !== undefined);
  const pace = new Pace(playback.bytesPerSecond);
  for (const piece of pieces(reply.body, stops, pace.piece)) {
    if (sent === playback.stallAfter) await Promise.race([reply.released(), connection.closed]);
    if (sent >= cutAfter) return connection.end(playback.cutBy ?? "close");
    await pace.wait(sent);
    if (framing === "chunked") await connection.write(`${piece.byteLength.toString(16)}\r\n`);
    await connection.write(piece);
    if (framing === "chunked") await connection.write("\r\n");
    if (!connection.isOpen) return "gone";
    sent += piece.byteLength;
    reply.onSent(piece.byteLength);
  }
  if (sent === playback.stallAfter) await Promise.race([reply.released(), connection.closed]);
  if (sent >= cutAfter) return connection.end(playback.cutBy ?? "close");
  if (framing === "chunked") await connection.write("0\r\n\r\n");
  if (framing === "close") connection.end("close");
  const promised = Number(headers.find(([name]) => /^content-length$/i.test(name))?.[1] ?? sent);
  // A length that lies leaves no way to say where the next reply begins.
  if (framing === "length" && promised !== sent) return connection.end("close");
  return framing === "close" || connection.isOpen ? "complete" : "gone";
}

/** Cuts a body into pieces that end where something is to happen. */
function* pieces(
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

/** Holds a body down to a rate: a piece each tick. */
class Pace {
  readonly piece: number;
  readonly #rate: number | undefined;
  readonly #begun = performance.now();

  constructor(bytesPerSecond: number | undefined) {
    this.#rate = bytesPerSecond;
    const each = ((bytesPerSecond ?? Infinity) * TICK_MS) / 1000;
    this.piece = Math.max(1, Math.min(PIECE, Math.floor(each)));
  }

  async wait(sent: number): Promise<void> {
    if (this.#rate === undefined) return;
    const ahead = (sent / this.#rate) * 1000 - (performance.now() - this.#begun);
    if (ahead > 0) await Bun.sleep(ahead);
  }
}

/** One socket: requests in, bytes out with back-pressure. */
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

  async nextRequest(): Promise<WireRequest | undefined> {
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
    const handedOver = new Promise<void>((resolve) => {
      this.#socket.write(data, () => resolve());
    });
    await Promise.race([handedOver, this.closed]);
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

function parseHead(head: string): WireRequest {
  const [first = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { method, target, headers };
}
