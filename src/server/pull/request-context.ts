import type { CacheStatus } from "../../cache/cache-status.ts";
import type { Fault } from "../../oci/fault.ts";
import type { CachedResponse } from "./response-cache.ts";

/** Seconds without a byte after which a connection in the middle of a fill is closed; Bun's longest. */
const LONGEST_IDLE = 255;

type Whole = Omit<CachedResponse, "route" | "path" | "headers">;

/** What answering a request needs of its connection, and what is told of it afterwards. */
export interface RequestContextOptions {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly path: string;
  setIdleTimeout(seconds: number): void;
}

/** One request being answered. Handlers add what they learn; who mounted them logs it, once. */
export class RequestContext {
  readonly request: Request;
  readonly query: URLSearchParams;
  /** As it was asked for, without the query. */
  readonly path: string;
  readonly #setIdleTimeout: (seconds: number) => void;
  #cacheStatus: CacheStatus | undefined;
  #fault: Fault | undefined;
  #stream: Promise<number> | undefined;
  #bytes = 0;
  #whole: Whole | undefined;

  constructor(options: RequestContextOptions) {
    this.request = options.request;
    this.query = options.query;
    this.path = options.path;
    this.#setIdleTimeout = (seconds) => options.setIdleTimeout(seconds);
  }

  get isHead(): boolean {
    return this.request.method === "HEAD";
  }

  get cacheStatus(): CacheStatus | undefined {
    return this.#cacheStatus;
  }

  /** Why the answer failed, in its head or in the middle of its body. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Bytes of the body: those that will be sent, or once `finished` resolves those that were. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves at the end of a body that comes as it is filled; absent for all others. */
  get finished(): Promise<unknown> | undefined {
    return this.#stream;
  }

  /** The answer, where it may be given again as it is. */
  get whole(): Whole | undefined {
    return this.#whole;
  }

  /** The answer is this content and nothing but it, from here alone, and may be given again. */
  isWhole(whole: Whole): void {
    this.#whole = whole;
  }

  noted(cacheStatus: CacheStatus): void {
    this.#cacheStatus = cacheStatus;
  }

  failed(fault: Fault): void {
    this.#fault = fault;
  }

  sends(bytes: number): void {
    this.#bytes = this.isHead ? 0 : bytes;
  }

  /** For a body that comes as it is filled: callbacks that its stream calls. */
  streams(): { giveUp: (fault: Fault) => void; ended: (bytes: number) => void } {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#stream = promise;
    this.#setIdleTimeout(LONGEST_IDLE);
    const ended = (bytes: number): void => {
      this.#bytes = bytes;
      resolve(bytes);
    };
    const giveUp = (fault: Fault): void => {
      this.#fault = fault;
      // The stalled connection then ends with a clean close, after which runtimes go on with a
      // Range elsewhere; failing the stream would reset it, and they would give up.
      this.#setIdleTimeout(1);
    };
    return { giveUp, ended };
  }
}
