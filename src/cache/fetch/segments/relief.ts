import type { OpenTransfer } from "../open-source.ts";
import type { ChunkReader } from "../source.ts";

/** How long a connection may bring nothing for which the download or a client waits, in milliseconds. */
export const STALLED_MS = 3000;
/** How often that is looked at, in milliseconds. */
const LOOK_MS = 500;
/** After so many bytes, the next stall is one of its own. */
const AMPLE_BYTES = 64 * 1024;

export interface ReliefOptions {
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
  /** Whether a client waits, and for nothing but the sender. */
  readonly isWanted: () => boolean;
  /** Whether another connection would begin at once. */
  readonly hasRoom: () => boolean;
}

/** Two requests for the bytes that come next. */
export interface Requests {
  /** Where those begin in the blob, in bytes. */
  readonly offset: number;
  readonly own: (signal: AbortSignal) => Promise<OpenTransfer>;
  /** Over another connection; `undefined` if it would bring something else. */
  readonly beside: (signal: AbortSignal) => Promise<OpenTransfer | undefined>;
}

/** What is waited for. */
interface Wait {
  readonly since: number;
  /** Ends it soon. */
  readonly giveUp: () => void;
  /** Whether it is a body's next bytes, and not its response. */
  readonly isBody: boolean;
  /** Whether its transfer has brought bytes. */
  readonly isReceiving: boolean;
}

/**
 * Relieves a download's own connection while it stalls: the bytes that come next are requested over another one,
 * and whichever of both goes on first is the download's. So a connection that hangs costs some seconds, and a
 * source that is slow to answer is waited for all the same.
 */
export class Relief {
  readonly #options: ReliefOptions;
  #timer: ReturnType<typeof setInterval> | undefined;
  #wait: Wait | undefined;
  #beside: Requests["beside"] = async () => undefined;
  #trial: AbortController | undefined;
  /** That of the other connection, once it has been answered. */
  #ready: OpenTransfer | undefined;
  /** Doubled with each stall that ample bytes do not follow: one that only drips is not asked all the time. */
  #patience = STALLED_MS;
  #bytes = 0;

  constructor(options: ReliefOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.drop();
  }

  /** Whether another connection has taken over: `opening` returns its transfer. */
  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  /** The download goes on in another way. */
  async drop(): Promise<void> {
    this.#trial?.abort();
    await this.#take()?.reader.cancel();
  }

  /**
   * Opens the transfer with which the download goes on.
   *
   * @throws Fault if its own request fails
   */
  async opening(signal: AbortSignal, { offset, own, beside }: Requests): Promise<OpenTransfer> {
    this.#beside = beside;
    const ready = this.#take();
    if (ready?.start === offset) return ready;
    if (ready) await ready.reader.cancel();
    const abort = new AbortController();
    const giveUp = (): void => abort.abort(signal.reason);
    const wait = { since: this.#options.now(), giveUp, isBody: false, isReceiving: false };
    try {
      const transfer = await this.#during(wait, () => own(AbortSignal.any([signal, abort.signal])));
      // If both were answered.
      await this.#take()?.reader.cancel();
      return transfer;
    } catch (error) {
      const other = signal.aborted ? undefined : this.#take();
      if (other) return other;
      throw error;
    }
  }

  /** Reads a body, which ends where another connection takes over. */
  reading(body: ChunkReader): ChunkReader {
    const giveUp = (): void => void body.cancel().catch(() => {});
    let isReceiving = false;
    return {
      read: async () => {
        const since = this.#options.now();
        const wait = { since, giveUp, isBody: true, isReceiving };
        const next = await this.#during(wait, () => body.read());
        isReceiving = true;
        this.#received(next.value?.byteLength ?? 0);
        return next;
      },
      cancel: () => body.cancel(),
    };
  }

  /** Ends a body of which bytes are waited for: the download goes on in another way. */
  endBody(): void {
    if (this.#wait?.isBody) this.#wait.giveUp();
  }

  /** Looks whether what is waited for stalls. */
  look(): void {
    const { now, isWanted, hasRoom } = this.#options;
    const wait = this.#wait;
    if (!wait || this.#trial || !isWanted() || now() - wait.since < this.#patience) return;
    // Another one may have to wait as long for its first byte.
    if (!hasRoom() && !wait.isReceiving) return;
    this.#patience *= 2;
    this.#bytes = 0;
    if (hasRoom()) void this.#try(wait);
    else wait.giveUp();
  }

  async #try(wait: Wait): Promise<void> {
    const trial = new AbortController();
    this.#trial = trial;
    try {
      const transfer = await this.#beside(trial.signal);
      if (transfer && this.#wait === wait && !trial.signal.aborted) {
        this.#ready = transfer;
        wait.giveUp();
      } else await transfer?.reader.cancel();
    } catch {
      // The download's own request goes on, and tells what is wrong.
    } finally {
      this.#trial = undefined;
    }
  }

  async #during<Value>(wait: Wait, work: () => Promise<Value>): Promise<Value> {
    this.#wait = wait;
    try {
      return await work();
    } finally {
      this.#wait = undefined;
      if (!this.#ready) this.#trial?.abort();
    }
  }

  #take(): OpenTransfer | undefined {
    const ready = this.#ready;
    this.#ready = undefined;
    return ready;
  }

  #received(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= AMPLE_BYTES) this.#patience = STALLED_MS;
  }
}
