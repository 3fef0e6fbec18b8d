/** Something that receives bytes, and can be told to wait. */
export interface Receiver {
  pause(): void;
  resume(): void;
}

/** Gives held bytes back. Calling it again does nothing. */
export type ReleaseBytes = () => void;

/**
 * Limits the bytes of all downloads that were received and are not written yet. While it is spent, no
 * receiver reads from its socket, and so TCP slows the senders down.
 *
 * A receiver that was admitted may bring more than is left, by as much as it reads at once.
 */
export class ByteBudget {
  readonly #limit: number;
  readonly #receiving = new Set<Receiver>();
  /** In order of arrival. */
  readonly #waiting = new Set<Receiver>();
  #held = 0;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  /** Lets a receiver read, at once or later, until it has received something: then it is to `leave`. */
  admit(receiver: Receiver): void {
    if (this.#held < this.#limit) this.#start(receiver);
    else this.#waiting.add(receiver);
  }

  /** The receiver has received something, or wants nothing more. */
  leave(receiver: Receiver): void {
    this.#receiving.delete(receiver);
    this.#waiting.delete(receiver);
  }

  /** Counts bytes that are in memory now. */
  hold(bytes: number): ReleaseBytes {
    this.#held += bytes;
    if (this.#held >= this.#limit) this.#stopAll();
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#release(bytes);
    };
  }

  #release(bytes: number): void {
    this.#held -= bytes;
    if (this.#held >= this.#limit) return;
    // One after the other: of many at once, those that come first would spend it again. But one whose
    // sender is slow spends nothing, so all may read while much is left.
    const admitsAll = this.#held < this.#limit / 2;
    for (const receiver of this.#waiting) {
      this.#waiting.delete(receiver);
      this.#start(receiver);
      if (!admitsAll) return;
    }
  }

  #start(receiver: Receiver): void {
    this.#receiving.add(receiver);
    receiver.resume();
  }

  #stopAll(): void {
    for (const receiver of this.#receiving) {
      receiver.pause();
      this.#waiting.add(receiver);
    }
    this.#receiving.clear();
  }
}
