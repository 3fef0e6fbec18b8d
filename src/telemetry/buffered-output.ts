/** Of a reader that stalls: what is beyond is dropped, since memory must not grow with traffic. */
const MAX_WAITING = 4 * 1024 * 1024;

const INTERVAL_MS = 1000;

/** What takes bytes without blocking: a promise says that its reader is slower than we are. */
export interface Sink {
  write(text: string): number | Promise<number>;
  flush(): number | Promise<number>;
}

export interface OutputOptions {
  /** Characters that are collected before they are written; an idle log is written each second all the same. */
  readonly minLength: number;
  readonly sink?: Sink;
}

/**
 * Lines on their way to standard output, in few writes that never block.
 *
 * It is not pino's own destination: that one leaves asynchronous writes to a thread, and what is
 * under way when the process exits is lost there.
 */
export class Output {
  readonly #minLength: number;
  readonly #sink: Sink;
  #lines: string[] = [];
  #waiting = 0;
  #isBusy = false;
  #isClosed = false;

  constructor({ minLength, sink = Bun.stdout.writer() }: OutputOptions) {
    this.#minLength = minLength;
    this.#sink = sink;
    setInterval(() => this.flush(), INTERVAL_MS).unref();
    process.on("exit", () => this.#drain());
  }

  write(line: string): void {
    if (this.#isClosed || this.#waiting + line.length > MAX_WAITING) return;
    this.#lines.push(line);
    this.#waiting += line.length;
    if (this.#waiting >= this.#minLength) this.flush();
  }

  flush(): void {
    if (!this.#isBusy) this.#drain();
  }

  #drain(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("");
    this.#lines = [];
    this.#waiting = 0;
    try {
      const outcomes = [this.#sink.write(text), this.#sink.flush()];
      const pending = outcomes.filter((outcome) => outcome instanceof Promise);
      if (pending.length > 0) void this.#wait(pending);
    } catch {
      this.#close();
    }
  }

  async #wait(pending: readonly Promise<number>[]): Promise<void> {
    this.#isBusy = true;
    try {
      await Promise.all(pending);
      this.#isBusy = false;
      if (this.#waiting >= this.#minLength) this.flush();
    } catch {
      this.#close();
    }
  }

  /** The reader went away (`entrepot serve | head`): a cache goes on without being watched. */
  #close(): void {
    this.#isClosed = true;
    this.#lines = [];
    this.#waiting = 0;
  }
}
