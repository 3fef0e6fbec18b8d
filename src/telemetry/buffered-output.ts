/**
 * Characters that are buffered for a slow reader. Lines beyond this are dropped, since memory must not grow
 * with traffic.
 */
const MAX_PENDING = 4 * 1024 * 1024;

const FLUSH_INTERVAL_MS = 1000;

/** A non-blocking writer. It returns a promise if its reader is too slow (backpressure). */
export interface Sink {
  write(text: string): number | Promise<number>;
  flush(): number | Promise<number>;
}

export interface BufferedOutputOptions {
  /** Number of buffered characters that triggers a write. A timer writes shorter buffers every second. */
  readonly minLength: number;
  readonly sink?: Sink;
}

/**
 * Buffers lines and writes them to standard output in few, non-blocking writes.
 *
 * It replaces pino's own asynchronous destination, which writes in a worker thread and loses pending lines
 * when the process exits.
 */
export class BufferedOutput {
  readonly #minLength: number;
  readonly #sink: Sink;
  #lines: string[] = [];
  #pendingLength = 0;
  #isBusy = false;
  #isClosed = false;

  constructor({ minLength, sink = Bun.stdout.writer() }: BufferedOutputOptions) {
    this.#minLength = minLength;
    this.#sink = sink;
    setInterval(() => this.flush(), FLUSH_INTERVAL_MS).unref();
    process.on("exit", () => this.#drain());
  }

  write(line: string): void {
    if (this.#isClosed || this.#pendingLength + line.length > MAX_PENDING) return;
    this.#lines.push(line);
    this.#pendingLength += line.length;
    if (this.#pendingLength >= this.#minLength) this.flush();
  }

  flush(): void {
    if (!this.#isBusy) this.#drain();
  }

  #drain(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("");
    this.#lines = [];
    this.#pendingLength = 0;
    try {
      const outcomes = [this.#sink.write(text), this.#sink.flush()];
      const pending = outcomes.filter((outcome) => outcome instanceof Promise);
      if (pending.length > 0) void this.#waitForReader(pending);
    } catch {
      this.#close();
    }
  }

  async #waitForReader(pending: readonly Promise<number>[]): Promise<void> {
    this.#isBusy = true;
    try {
      await Promise.all(pending);
      this.#isBusy = false;
      if (this.#pendingLength >= this.#minLength) this.flush();
    } catch {
      this.#close();
    }
  }

  /**
   * Discards all output from now on: the reader closed the pipe (`entrepot serve | head`), and the
   * cache goes on.
   */
  #close(): void {
    this.#isClosed = true;
    this.#lines = [];
    this.#pendingLength = 0;
  }
}
