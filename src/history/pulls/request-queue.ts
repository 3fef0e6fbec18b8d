import type { ServedRequest } from "../served-request.ts";

/** How long requests wait to be looked at together, in milliseconds. */
const DELAY_MS = 250;
/** How many wait at most: of more in a quarter of a second, the later ones are left out. */
const MAX_WAITING = 2048;

/**
 * Requests that were answered, until they are looked at together: a hit costs no more than a place in a list.
 * What is shown of single pulls leaves some out where there are more than eight thousand requests a second;
 * what is counted leaves out none.
 */
export class RequestQueue implements Disposable {
  readonly #look: (requests: readonly ServedRequest[]) => void;
  #waiting: ServedRequest[] = [];
  #leftOut = 0;
  #timer: Timer | undefined;

  constructor(look: (requests: readonly ServedRequest[]) => void) {
    this.#look = look;
  }

  /** How many were left out. */
  get leftOut(): number {
    return this.#leftOut;
  }

  add(request: ServedRequest): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#leftOut += 1;
      return;
    }
    this.#waiting.push(request);
    this.#timer ??= setTimeout(() => this.flush(), DELAY_MS).unref();
  }

  /** Looks at those that wait. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const requests = this.#waiting;
    this.#waiting = [];
    if (requests.length > 0) this.#look(requests);
  }

  [Symbol.dispose](): void {
    this.flush();
  }
}
