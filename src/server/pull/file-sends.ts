import { readFileSync } from "node:fs";

/** A response whose body Bun sends from a file. */
export interface FileSend {
  /** Of the body, in bytes. */
  readonly size: number;
  /** Aborted if the client leaves before it has everything. */
  readonly signal: AbortSignal;
  /** Whether the response is still being sent. */
  readonly isOpen: () => boolean;
  /** Called once, with the bytes of the body that were sent. */
  readonly ended: (bytes: number) => void;
  /**
   * Called before `ended` if less than all was sent, and the client was not seen leaving: then a write
   * failed, or reading the file did. While several files are sent, it is not always noticed.
   *
   * @param sent of the body, in bytes
   * @param isExact whether no other file was sent meanwhile, so that `sent` is no estimate
   */
  readonly brokeOff?: (sent: number, isExact: boolean) => void;
}

interface Ongoing extends FileSend {
  /** Its estimated part of the bytes that were read since it began. */
  share: number;
  /** Whether it is the only one since it began. */
  isAlone: boolean;
  /** Whether it was seen closed. Bun closes a connection up to a turn before it aborts the signal. */
  isClosed: boolean;
}

/** The shortest and the longest time between two looks for responses that have ended, in milliseconds. */
const MIN_INTERVAL = 4;
const MAX_INTERVAL = 100;

/**
 * How much of a file was sent to a client that may have left early.
 *
 * Bun sends files itself (sendfile, or read and write for TLS), and says neither how much it has sent
 * nor when it is done. But the kernel counts what each thread reads, sendfile included (proc_pid_io(5)),
 * and Bun's main thread sends all bodies. So a response that is cut while no other file is sent has
 * exactly the bytes that were counted. Several at a time share what was counted, each at most its size;
 * one that is completed shows its true part, and the others' shares are corrected by it. Thus the sum
 * over all responses is right, also where a single one counts bytes of another.
 *
 * Where reading a file fails in the middle, Bun closes the connection and says nothing either.
 */
export class FileSends {
  readonly #bytesRead: () => number | undefined;
  readonly #ongoing = new Set<Ongoing>();
  #lastRead = 0;
  #startedAt = 0;
  #timer: Timer | undefined;

  /** @param bytesRead counts what this thread has read; `undefined` if that is not known */
  constructor(bytesRead: () => number | undefined = bytesReadByThisThread) {
    this.#bytesRead = bytesRead;
  }

  /** To be called before the response is returned to Bun. */
  follow(send: FileSend): void {
    if (!send.isOpen()) {
      send.ended(0);
      return;
    }
    this.#count();
    const isAlone = this.#ongoing.size === 0;
    if (this.#ongoing.size === 1) for (const other of this.#ongoing) other.isAlone = false;
    const ongoing = { ...send, share: 0, isAlone, isClosed: false };
    this.#ongoing.add(ongoing);
    send.signal.addEventListener("abort", () => this.#end(ongoing, true), { once: true });
    this.#startedAt = performance.now();
    this.#schedule();
  }

  /** Ends all responses, at the end of the process: those that are still being sent are cut. */
  close(): void {
    for (const ongoing of this.#ongoing) this.#end(ongoing, ongoing.isOpen());
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#ongoing.size === 0) return;
    const age = performance.now() - this.#startedAt;
    const interval = Math.min(MAX_INTERVAL, Math.max(MIN_INTERVAL, age / 4));
    this.#timer = setTimeout(() => this.#look(), interval).unref();
  }

  #look(): void {
    this.#timer = undefined;
    for (const ongoing of this.#ongoing) {
      if (ongoing.isClosed) this.#end(ongoing, false);
      else ongoing.isClosed = !ongoing.isOpen();
    }
    this.#schedule();
  }

  #end(ongoing: Ongoing, isCut: boolean): void {
    if (!this.#ongoing.has(ongoing)) return;
    const isCounted = this.#count();
    this.#ongoing.delete(ongoing);
    const sent = Math.floor(isCut ? ongoing.share : this.#sentWithoutAbort(ongoing, isCounted));
    this.#distribute(ongoing.share - sent);
    if (!isCut && sent < ongoing.size) ongoing.brokeOff?.(sent, ongoing.isAlone);
    ongoing.ended(sent);
  }

  /** All of it, unless that is more than was read: Bun reports no abort if it was the write that failed. */
  #sentWithoutAbort({ size, share }: Ongoing, isCounted: boolean): number {
    let known = share;
    for (const other of this.#ongoing) known += other.share;
    return isCounted ? Math.min(size, known) : size;
  }

  /** Shares what was read since the last call. Returns whether that is known. */
  #count(): boolean {
    const count = this.#bytesRead();
    if (count === undefined) return false;
    this.#distribute(count - this.#lastRead);
    this.#lastRead = count;
    return true;
  }

  /** Adds bytes to the shares, or takes them away, as evenly as sizes allow. */
  #distribute(bytes: number): void {
    let left = bytes;
    let takers = [...this.#ongoing];
    while (Math.abs(left) >= 1) {
      takers = takers.filter(({ share, size }) => (left > 0 ? share < size : share > 0));
      if (takers.length === 0) return;
      const part = left / takers.length;
      for (const taker of takers) {
        const share = Math.min(taker.size, Math.max(0, taker.share + part));
        left -= share - taker.share;
        taker.share = share;
      }
    }
  }
}

/** Whatever kind of read, from whatever kind of file, but not from sockets: recv(2) is not counted. */
function bytesReadByThisThread(): number | undefined {
  try {
    const count = /^rchar: (\d+)$/m.exec(readFileSync("/proc/thread-self/io", "latin1"))?.[1];
    return count === undefined ? undefined : Number(count);
  } catch {
    return undefined;
  }
}
