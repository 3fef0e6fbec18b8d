import type { ByteBudget } from "../../process/byte-budget.ts";
import { programFile } from "../../process/program-file.ts";
import { ConnectionsLost, type Downloads, LocalDownloads } from "../http1/downloads.ts";
import type { GetRequest, GetResponse } from "../http1/get.ts";
import type { FromThread, ToThread } from "./messages.ts";
import { RemoteDownload } from "./remote-download.ts";

/** Starts the program of the thread. */
export const startWorker = (): Worker => new Worker(programFile("download-worker"));

/** A thread that has failed so often is not started again. */
const MAX_LOSSES = 3;
/** How long downloads wait for the thread to start, in milliseconds: after that, they do without until it has. */
const START_MS = 1000;

export interface DownloadThreadOptions {
  /** Bytes that may be received and not yet be written. */
  readonly limit: number;
  /** For downloads while there is no thread. */
  readonly budget: ByteBudget;
  readonly start?: () => Worker;
  /** Called when the thread has failed, or could not be started. */
  readonly onLost?: (lost: { readonly reason: string; readonly isLast: boolean }) => void;
}

/**
 * Receives blobs in a thread of its own, so that what is received is no garbage of this one, whose collections hold
 * up hits. The thread is started by the first download. Where it cannot be started, or fails again and again, this
 * thread downloads by itself.
 */
export class DownloadThread implements Disposable {
  readonly #options: DownloadThreadOptions;
  #running: RunningThread | undefined;
  #losses = 0;
  #isClosed = false;
  #pools = 0;

  constructor(options: DownloadThreadOptions) {
    this.#options = options;
  }

  /** @param tls set for HTTPS */
  downloads(tls: Bun.TLSOptions | undefined): Downloads {
    this.#pools += 1;
    return new ThreadDownloads(this, this.#options.budget, this.#pools, tls);
  }

  /** Bytes that it has received, and that are not written yet, as of late. */
  get held(): number {
    return this.#running?.held ?? 0;
  }

  /** The thread, once it is ready, if it soon is. Starts it if there is none. */
  async current(): Promise<RunningThread | undefined> {
    if (!this.#running && this.#losses < MAX_LOSSES && !this.#isClosed) this.#start();
    const running = this.#running;
    await running?.started;
    return running?.isReady ? running : undefined;
  }

  /** Ends the thread, with all downloads. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#running?.end();
  }

  #start(): void {
    const { limit, start = startWorker } = this.#options;
    try {
      this.#running = new RunningThread(start(), limit, (reason) => this.#lost(reason, 1));
    } catch (cause) {
      // No memory is left for it, or no thread.
      this.#lost(cause instanceof Error ? cause.message : String(cause), MAX_LOSSES);
    }
  }

  #lost(reason: string, losses: number): void {
    this.#losses += losses;
    this.#running = undefined;
    if (!this.#isClosed) this.#options.onLost?.({ reason, isLast: this.#losses >= MAX_LOSSES });
  }
}

/** The downloads of one host, by the thread where it is there. */
class ThreadDownloads implements Downloads {
  readonly #thread: DownloadThread;
  readonly #local: LocalDownloads;
  readonly #pool: number;
  readonly #tls: Bun.TLSOptions | undefined;
  /** The thread that knows of this pool. */
  #openedIn: RunningThread | undefined;
  #isClosed = false;

  constructor(
    thread: DownloadThread,
    budget: ByteBudget,
    pool: number,
    tls: Bun.TLSOptions | undefined,
  ) {
    this.#thread = thread;
    this.#local = new LocalDownloads(budget, tls);
    this.#pool = pool;
    this.#tls = tls;
  }

  async get(request: GetRequest): Promise<GetResponse> {
    const running = await this.#thread.current();
    if (!running || this.#isClosed) return this.#local.get(request);
    if (this.#openedIn !== running) {
      running.post({ kind: "open-pool", pool: this.#pool, tls: this.#tls });
      this.#openedIn = running;
    }
    try {
      return await running.get(this.#pool, request);
    } catch (error) {
      // A GET may be sent twice (RFC 9110 section 9.2.2).
      if (error instanceof ConnectionsLost) return this.#local.get(request);
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#local.close();
    this.#openedIn?.post({ kind: "close-pool", pool: this.#pool });
  }
}

/** A thread from its start to its end. */
export class RunningThread {
  readonly #worker: Worker;
  readonly #shared: SharedArrayBuffer;
  readonly #downloads = new Map<number, RemoteDownload>();
  readonly #onLost: (reason: string) => void;
  readonly #started = Promise.withResolvers<void>();
  readonly #startTimer: ReturnType<typeof setTimeout>;
  #isReady = false;
  #ids = 0;
  #held = 0;
  #isOver = false;

  constructor(worker: Worker, limit: number, onLost: (reason: string) => void) {
    this.#worker = worker;
    this.#shared = new SharedArrayBuffer(limit);
    this.#onLost = onLost;
    worker.unref();
    worker.addEventListener("message", ({ data }: MessageEvent<FromThread>) => this.#receive(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#lost(event.message);
    });
    worker.addEventListener("close", () => this.#lost("it ended"));
    this.post({ kind: "begin", shared: this.#shared, limit });
    this.#startTimer = setTimeout(this.#started.resolve, START_MS);
  }

  /** See `DownloadThread`. */
  get held(): number {
    return this.#held;
  }

  /** Resolves once it is ready or has ended, or is slow to start. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Whether it can download. */
  get isReady(): boolean {
    return this.#isReady;
  }

  post(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none, a window has
    if (!this.#isOver) this.#worker.postMessage(message);
  }

  /** As `get` of the http1 folder. */
  async get(pool: number, request: GetRequest): Promise<GetResponse> {
    request.signal.throwIfAborted();
    this.#ids += 1;
    const id = this.#ids;
    const download = new RemoteDownload(
      id,
      {
        shared: this.#shared,
        post: (message) => this.post(message),
        ended: () => void this.#downloads.delete(id),
      },
      request,
    );
    this.#downloads.set(id, download);
    const { endpoint, url, headers } = request;
    this.post({ kind: "get", id, pool, endpoint, url: url.href, headers });
    return download.response;
  }

  end(): void {
    this.#lost("it was closed");
  }

  #receive(message: FromThread): void {
    if (message.kind === "ready") {
      this.#isReady = !this.#isOver;
      this.#endStart();
      return;
    }
    if (message.kind === "holds") {
      this.#held = message.bytes;
      return;
    }
    const download = this.#downloads.get(message.id);
    switch (message.kind) {
      case "head":
        download?.onHead(message);
        return;
      case "bytes":
        if (download) download.onBytes(message);
        else this.post({ kind: "free", at: message.part.at });
        return;
      case "end":
        download?.onEnd();
        return;
      case "failed":
        download?.onFailed(message);
        return;
      case "held-back":
        download?.onHeldBack(message);
    }
  }

  #lost(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isReady = false;
    this.#endStart();
    this.#worker.terminate();
    this.#onLost(reason);
    for (const download of this.#downloads.values()) download.onLost();
  }
  #endStart(): void {
    clearTimeout(this.#startTimer);
    this.#started.resolve();
  }
}
