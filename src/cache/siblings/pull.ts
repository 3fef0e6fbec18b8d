/** Between two requests, a client that pulls takes no longer than this, in milliseconds. */
const GAP_MS = 5000;
/** The same, from a request to the first byte that is sent. */
const FIRST_BYTE_MS = 20_000;

/** What is seen of a layer that a client has asked for, while it is downloaded. */
export interface AskedLayer {
  /** Whether its download has ended. */
  readonly isSettled: boolean;
  readonly followers: { readonly count: number; readonly hadAny: boolean };
}

/** A client, or several, that pull an image. */
export class Pull {
  readonly startedAt: number;
  readonly #asked = new Map<AskedLayer, number>();
  #lastAskedAt: number;

  constructor(now: number) {
    this.startedAt = now;
    this.#lastAskedAt = now;
  }

  /** A client asks for a layer, which is downloaded for it. */
  asked(layer: AskedLayer | undefined, now: number): void {
    this.#lastAskedAt = now;
    if (layer) this.#asked.set(layer, now);
  }

  /** The download of a layer has ended: it is not kept, since it has bytes in memory. */
  ended(layer: AskedLayer): void {
    this.#asked.delete(layer);
  }

  /** How many layers are kept. */
  get asking(): number {
    return this.#asked.size;
  }

  /** Whether a client may still ask for more: it reads what it has asked for, or has just read it. */
  isAlive(now: number): boolean {
    let hasRunning = false;
    for (const [layer, askedAt] of this.#asked) {
      if (layer.isSettled) {
        this.#asked.delete(layer);
        continue;
      }
      const { count, hadAny } = layer.followers;
      if (count > 0 || (!hadAny && now - askedAt < FIRST_BYTE_MS)) {
        this.#lastAskedAt = now;
        return true;
      }
      hasRunning = true;
    }
    // A client that leaves in the middle of a layer does not come back for the next one.
    return !hasRunning && now - this.#lastAskedAt < GAP_MS;
  }
}
