import type { CacheStatus } from "../../cache/cache-status.ts";
import type { BodyEvents } from "../../cache/results.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Fault } from "../../oci/fault.ts";
import type { Span } from "../../telemetry/tracing/span.ts";
import type { Admitted } from "./admission/admitted.ts";
import type { CachedResponse } from "./response-cache.ts";
import type { Route } from "./route.ts";

/** Idle timeout of a connection while its body is being filled, in seconds: Bun's maximum. */
const FILL_IDLE_TIMEOUT = 255;

/** What a handler knows of a response that may be cached. */
export type ReusableResponse = Omit<CachedResponse, "route" | "path" | "headers" | "access">;

export interface RequestContextOptions {
  readonly request: Pick<Request, "method" | "headers">;
  /** The requested path, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The client's address, without its port. */
  readonly address: string;
  setIdleTimeout(seconds: number): void;
}

/**
 * One request and what becomes known while it is answered. Handlers add to it; `PullApi` makes the
 * record for the log and the metrics from it.
 */
export class RequestContext {
  readonly request: Pick<Request, "method" | "headers">;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly address: string;
  /** By the clock of `performance.now()`. */
  readonly startedAt = performance.now();
  /** Set once the response is ready to be sent. */
  millisecondsToFirstByte = 0;
  /** Set if the request is traced. */
  span: Span | undefined;
  /** Absent until the request is parsed. */
  route: Route | undefined;
  /** What was decided about who asks; absent until then. */
  admitted: Admitted | undefined;
  /** Of the manifest to which the request leads. */
  manifestDigest: Digest | undefined;
  cacheStatus: CacheStatus | undefined;
  /** Why the request failed: before its response was sent, or in the middle of the body. */
  fault: Fault | undefined;
  /** An error that is no `Fault`. */
  defect: unknown;
  /** Set if the same request may get the same response again, without a lookup. */
  reusable: ReusableResponse | undefined;
  /** Set if the body is sent from a blob's file, so that a client may get less than its size. */
  sentFrom: { readonly digest: Digest; readonly first: number } | undefined;
  /** Whether the body is a stream, which may be one of a file. */
  isStreamed = false;
  readonly #setIdleTimeout: (seconds: number) => void;
  #bytes = 0;
  #bodyEnded: Promise<number> | undefined;

  constructor(options: RequestContextOptions) {
    this.request = options.request;
    this.path = options.path;
    this.query = options.query;
    this.address = options.address;
    this.#setIdleTimeout = (seconds) => options.setIdleTimeout(seconds);
  }

  get isHead(): boolean {
    return this.request.method === "HEAD";
  }

  /** Bytes of the body: those to be sent, and at its end those that were sent. HEAD has none. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves at the end of a body that is streamed while it is filled; absent for all others. */
  get bodyEnded(): Promise<unknown> | undefined {
    return this.#bodyEnded;
  }

  setBodySize(bytes: number): void {
    this.#bytes = this.isHead ? 0 : bytes;
  }

  /** Prepares for a body that is streamed while it is filled. Returns what its stream calls. */
  streamBody(): Required<BodyEvents> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#bodyEnded = promise;
    this.isStreamed = true;
    this.#setIdleTimeout(FILL_IDLE_TIMEOUT);
    return {
      copiesChunks: true,
      ended: (bytes) => {
        this.#bytes = bytes;
        resolve(bytes);
      },
      giveUp: (fault) => {
        this.fault = fault;
        // The stalled connection is then closed cleanly, and container runtimes continue with a
        // Range request elsewhere. An error in the stream would reset it, and they would give up.
        this.#setIdleTimeout(1);
      },
    };
  }
}
