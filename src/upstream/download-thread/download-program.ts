import { ByteBudget, type ReleaseBytes } from "../../process/byte-budget.ts";
import { freeBytes } from "../../process/free-bytes.ts";
import { LocalDownloads } from "../http1/downloads.ts";
import type { BodyReader } from "../http1/get.ts";
import type { FromThread, ToThread } from "./messages.ts";
import { PartMemory } from "./part-memory.ts";

/** How often the main thread learns what the byte budget holds, and that it holds up a read, in milliseconds. */
const HELD_BACK_MS = 250;

/** A download, until its end was told, or nobody wants it any more. */
interface Download {
  readonly abort: AbortController;
  body: BodyReader | undefined;
  isReading: boolean;
  /** Milliseconds for which its bytes waited for room in the shared memory. */
  waited: number;
  waitsSince: number | undefined;
}

/** See `BodyReader.heldBack`. */
function heldBack({ body, waited, waitsSince }: Download): number {
  const waits = waitsSince === undefined ? 0 : performance.now() - waitsSince;
  return (body?.heldBack ?? 0) + waited + waits;
}

/**
 * The part of downloads that runs in the thread: it owns their connections, and whatever garbage receiving makes. What
 * is requested, from whom, and what becomes of the bytes is the main thread's concern.
 */
export class DownloadProgram {
  readonly #post: (message: FromThread) => void;
  readonly #memory: PartMemory;
  readonly #budget: ByteBudget;
  #toldHeld = 0;
  readonly #pools = new Map<number, LocalDownloads>();
  readonly #downloads = new Map<number, Download>();
  /** Of the bytes that the main thread has, by their place. */
  readonly #handedOver = new Map<number, ReleaseBytes>();
  /** Runs while there are downloads: an idle cache wakes up for nothing. */
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    { shared, limit }: Extract<ToThread, { kind: "begin" }>,
    post: (message: FromThread) => void,
  ) {
    this.#post = post;
    this.#memory = new PartMemory(shared);
    this.#budget = new ByteBudget(limit);
    post({ kind: "ready" });
  }

  receive(message: Exclude<ToThread, { kind: "begin" }>): void {
    switch (message.kind) {
      case "open-pool":
        this.#pools.set(message.pool, new LocalDownloads(this.#budget, message.tls));
        return;
      case "close-pool":
        this.#pools.get(message.pool)?.close();
        this.#pools.delete(message.pool);
        return;
      case "get":
        void this.#get(message);
        return;
      case "read":
        if (message.freed !== undefined) this.#free(message.freed);
        void this.#read(message.id);
        return;
      case "free":
        this.#free(message.at);
        return;
      case "cancel":
        this.#cancel(message.id);
    }
  }

  async #get({ id, pool, ...request }: Extract<ToThread, { kind: "get" }>): Promise<void> {
    const download: Download = {
      abort: new AbortController(),
      body: undefined,
      isReading: false,
      waited: 0,
      waitsSince: undefined,
    };
    this.#downloads.set(id, download);
    this.#timer ??= setInterval(() => {
      this.#tellHeld();
      this.#tellHeldBack();
    }, HELD_BACK_MS);
    try {
      const downloads = this.#pools.get(pool);
      if (!downloads) throw new Error("the pool is closed");
      const { signal } = download.abort;
      const url = new URL(request.url);
      const { status, headers, body } = await downloads.get({ ...request, url, signal });
      download.body = body;
      if (this.#downloads.has(id)) this.#post({ kind: "head", id, status, headers: [...headers] });
      else await body.cancel();
    } catch (error) {
      this.#fail(id, error);
    }
  }

  async #read(id: number): Promise<void> {
    const download = this.#downloads.get(id);
    if (!download?.body) return;
    const { body } = download;
    download.isReading = true;
    try {
      const next = await body.read();
      if (next.done) {
        if (this.#downloads.delete(id)) this.#post({ kind: "end", id });
        return;
      }
      const { value } = next;
      const release = this.#budget.hold(value.byteLength);
      download.waitsSince = performance.now();
      const part = await this.#memory.put(value);
      download.waited = heldBack(download) - (body.heldBack ?? 0);
      download.waitsSince = undefined;
      freeBytes(value);
      this.#handedOver.set(part.at, release);
      if (this.#downloads.has(id)) {
        this.#post({ kind: "bytes", id, part, heldBack: heldBack(download) });
      } else {
        this.#free(part.at);
      }
    } catch (error) {
      this.#fail(id, error);
    } finally {
      download.isReading = false;
    }
  }

  #free(at: number): void {
    this.#handedOver.get(at)?.();
    this.#handedOver.delete(at);
    this.#memory.free(at);
  }

  #cancel(id: number): void {
    const download = this.#downloads.get(id);
    if (!download) return;
    this.#downloads.delete(id);
    // A body that was received to its end leaves its connection for the next request.
    if (download.body) void download.body.cancel();
    else download.abort.abort();
  }

  #fail(id: number, error: unknown): void {
    if (!this.#downloads.delete(id)) return;
    const { message } = error instanceof Error ? error : { message: String(error) };
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    this.#post({ kind: "failed", id, message, code });
  }

  #tellHeld(): void {
    const bytes = this.#budget.held;
    if (bytes !== this.#toldHeld) this.#post({ kind: "holds", bytes });
    this.#toldHeld = bytes;
  }

  #tellHeldBack(): void {
    for (const [id, download] of this.#downloads) {
      const milliseconds = heldBack(download);
      if (download.isReading && milliseconds >= HELD_BACK_MS)
        this.#post({ kind: "held-back", id, milliseconds });
    }
    if (this.#downloads.size > 0 || this.#budget.held > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
