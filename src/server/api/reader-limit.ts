import { ProblemError } from "./problem-details.ts";

/** Each reader has a connection for as long as it reads. */
export const MAX_READERS = 100;
/** When a reader that was refused should ask again, in seconds. */
const RETRY_AFTER = "10";

/** Admits so many readers of events at once. */
export class ReaderLimit {
  readonly #instead: string;
  #count = 0;

  /** @param instead what a reader may ask for instead: `GET /api/v1/overview` */
  constructor(instead: string) {
    this.#instead = instead;
  }

  /**
   * @returns to be called when the reader has left
   * @throws ProblemError if there are too many
   */
  enter(): () => void {
    if (this.#count >= MAX_READERS) {
      throw new ProblemError({
        status: 503,
        detail: `${MAX_READERS} pages and programs read these events already, and no more may at once`,
        next: `close one and try again in ${RETRY_AFTER} s, or ${this.#instead}`,
        headers: { "retry-after": RETRY_AFTER },
      });
    }
    this.#count += 1;
    let isHere = true;
    return () => {
      if (isHere) this.#count -= 1;
      isHere = false;
    };
  }
}
