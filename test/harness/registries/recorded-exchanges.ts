/** A request and the head of its response, as they passed between a client and the cache. */
export interface Exchange {
  readonly path: string;
  /** How many ranges the request asks for; 0 without a Range header. */
  readonly ranges: number;
  readonly status: number;
  readonly contentType: string;
  /** Bytes of the response's body that were forwarded so far. */
  bytes: number;
}

/** A server that forwards requests to the cache, and records them. */
export class RecordedExchanges implements AsyncDisposable {
  readonly exchanges: Exchange[] = [];
  readonly #server: Bun.Server<undefined>;

  constructor(cacheUrl: string) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const { pathname, search } = new URL(request.url);
        const { method, headers } = request;
        const response = await fetch(`${cacheUrl}${pathname}${search}`, { method, headers });
        const exchange = {
          path: pathname,
          ranges: headers.get("range")?.split(",").length ?? 0,
          status: response.status,
          contentType: response.headers.get("content-type") ?? "",
          bytes: 0,
        };
        this.exchanges.push(exchange);
        const count = new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            exchange.bytes += chunk.byteLength;
            controller.enqueue(chunk);
          },
        });
        return new Response(response.body?.pipeThrough(count) ?? null, response);
      },
    });
  }

  /** `host:port` */
  get address(): string {
    return `${this.#server.hostname}:${this.#server.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
