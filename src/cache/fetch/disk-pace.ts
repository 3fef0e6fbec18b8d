/** How long is looked at, in milliseconds. */
const WINDOW_MS = 3000;
/** A fill waits for the disk if it does so for this part of the time. */
const MOSTLY = 0.75;
/** What a disk has to write for one fill, in bytes per second. Hard disks write 50 MiB/s and more. */
const SLOW_RATE = 2 * 1024 * 1024;

export interface DiskPaceOptions {
  /** Called again and again while the disk is slow. */
  readonly onSlow: () => void;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

/** Whether the disk is what a fill waits for, and is slow. */
export class DiskPace {
  readonly #onSlow: () => void;
  readonly #now: () => number;
  #isSlow = false;
  #since = 0;
  /** Of the window, in milliseconds. */
  #waited = 0;
  #bytes = 0;
  #waitingSince: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor({ onSlow, now = () => performance.now() }: DiskPaceOptions) {
    this.#onSlow = onSlow;
    this.#now = now;
  }

  /** Whether it was so in the last window. */
  get isSlow(): boolean {
    return this.#isSlow;
  }

  start(): void {
    this.#begin();
    this.#timer ??= setInterval(() => this.look(), WINDOW_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#isSlow = false;
  }

  /** Measures a write of so many bytes. One at a time. */
  async write(bytes: number, write: () => Promise<void>): Promise<void> {
    this.#waitingSince = this.#now();
    try {
      await write();
      this.#bytes += bytes;
    } finally {
      this.#waited += this.#now() - this.#waitingSince;
      this.#waitingSince = undefined;
    }
  }

  /** Judges the window that ends now, and begins the next one. */
  look(): void {
    const now = this.#now();
    const pending = this.#waitingSince === undefined ? 0 : now - this.#waitingSince;
    if (this.#waitingSince !== undefined) this.#waitingSince = now;
    const elapsed = now - this.#since;
    const isWaiting = this.#waited + pending >= MOSTLY * elapsed;
    this.#isSlow = isWaiting && this.#bytes < (SLOW_RATE * elapsed) / 1000;
    this.#begin();
    if (this.#isSlow) this.#onSlow();
  }

  #begin(): void {
    this.#since = this.#now();
    this.#waited = 0;
    this.#bytes = 0;
  }
}
