import net from "node:net";

/**
 * How an exchange ended: with all of the body, with a closed connection before that, or with nothing
 * arriving any more. `no-answer`: closed or refused before a response.
 */
export type ExchangeEnd = "complete" | "cut" | "hung" | "no-answer";

export interface Exchange {
  readonly end: ExchangeEnd;
  /** 0 without a response. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** The bytes of the body that arrived. */
  readonly body: Buffer;
}

export interface ExchangeOptions {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** Without a byte for this long, the server hangs, in milliseconds. */
  readonly patience?: number;
}

const PATIENCE = 25_000;
const HEAD_END = "\r\n\r\n";

/**
 * One request over a connection of its own. Unlike `fetch`, it tells a body that is cut from one that is
 * complete, and gives the bytes that came before.
 *
 * @param address `host:port`
 */
export function exchange(
  address: string,
  path: string,
  { method = "GET", headers = {}, patience = PATIENCE }: ExchangeOptions = {},
): Promise<Exchange> {
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const separator = address.lastIndexOf(":");
  const [host, port] = [address.slice(0, separator), Number(address.slice(separator + 1))];
  const lines = Object.entries({ host: address, ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const parser = new ResponseParser(method === "HEAD");
  const socket = net.connect({ host, port });
  const end = (how: "closed" | "hung" | "complete"): void => {
    socket.destroy();
    const closed = parser.status === 0 ? "no-answer" : "cut";
    resolve({
      end: how === "closed" ? closed : how,
      status: parser.status,
      headers: parser.headers,
      body: Buffer.concat(parser.body),
    });
  };
  socket.setTimeout(patience, () => end("hung"));
  socket.on("connect", () =>
    socket.write([`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n")),
  );
  socket.on("data", (bytes) => {
    if (parser.add(Buffer.from(bytes))) end("complete");
  });
  socket.on("close", () => end("closed"));
  socket.on("error", () => end("closed"));
  return promise;
}

/** A response with Content-Length or in chunks, as a server of HTTP/1.1 sends it. */
class ResponseParser {
  status = 0;
  readonly headers = new Map<string, string>();
  readonly body: Buffer[] = [];
  readonly #isBodiless: boolean;
  /** What was received and is not parsed yet. */
  #rest: Buffer = Buffer.alloc(0);
  /** Of the body, or of the current chunk and its line end; `undefined` before the size of a chunk. */
  #missing: number | undefined;
  #isChunked = false;

  constructor(isBodiless: boolean) {
    this.#isBodiless = isBodiless;
  }

  /** Returns whether the response is complete. */
  add(bytes: Buffer): boolean {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (this.status === 0 && !this.#takeHead()) return false;
    if (this.#isBodiless || this.status === 304) return true;
    return this.#isChunked ? this.#takeChunks() : this.#takeSized();
  }

  #takeHead(): boolean {
    const at = this.#rest.indexOf(HEAD_END);
    if (at < 0) return false;
    const [first = "", ...lines] = this.#rest.subarray(0, at).toString("latin1").split("\r\n");
    this.#rest = this.#rest.subarray(at + HEAD_END.length);
    for (const line of lines) {
      const colon = line.indexOf(":");
      this.headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    this.#isChunked = this.headers.get("transfer-encoding") === "chunked";
    if (!this.#isChunked) this.#missing = Number(this.headers.get("content-length") ?? NaN);
    this.status = Number(first.split(" ")[1]);
    return true;
  }

  #takeSized(): boolean {
    const missing = (this.#missing ?? 0) - this.#rest.length;
    this.body.push(this.#rest);
    this.#rest = Buffer.alloc(0);
    this.#missing = missing;
    if (missing < 0) throw new Error("the body is longer than its Content-Length");
    return missing === 0;
  }

  #takeChunks(): boolean {
    for (;;) {
      if (this.#missing === undefined) {
        const at = this.#rest.indexOf("\r\n");
        if (at < 0) return false;
        const size = Number.parseInt(this.#rest.subarray(0, at).toString("latin1"), 16);
        if (size === 0) return this.#rest.length >= at + HEAD_END.length;
        this.#rest = this.#rest.subarray(at + 2);
        this.#missing = size + 2;
      }
      const part = this.#rest.subarray(0, this.#missing);
      const ofBody = part.subarray(0, Math.max(0, Math.min(part.length, this.#missing - 2)));
      if (ofBody.length > 0) this.body.push(ofBody);
      this.#rest = this.#rest.subarray(part.length);
      this.#missing -= part.length;
      if (this.#missing > 0) return false;
      this.#missing = undefined;
    }
  }
}
