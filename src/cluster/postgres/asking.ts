import { withTimeout } from "../../cache/with-timeout.ts";

/** Questions that may be unanswered at once. */
const MAX_QUESTIONS = 256;

export interface AskingOptions {
  /** How long a question takes at most, in milliseconds. */
  readonly limitMs: number;
  /** Whether the database is there. */
  readonly isUp: () => boolean;
  /** A question failed. */
  readonly failed: (error: unknown) => void;
  /** A question was not answered in time. */
  readonly late: () => void;
  /** Called after each, with the milliseconds for which the request has waited. */
  readonly asked?: ((milliseconds: number, isAnswered: boolean) => void) | undefined;
}

/**
 * Puts the questions of requests. None waits long for a database that hangs, and after the first one that did, none
 * waits at all: until it is known that the database is there, there are no more questions.
 */
export class Asking {
  readonly #options: AskingOptions;
  #asked = 0;
  #isDoubtful = false;

  constructor(options: AskingOptions) {
    this.#options = options;
  }

  /** The database is there. */
  trust(): void {
    this.#isDoubtful = false;
  }

  /** Never rejects. The answer's age is of when it is given. */
  async ask<Answer extends { readonly ageMs: number }>(
    question: () => Promise<Answer | undefined>,
  ): Promise<Answer | undefined> {
    const { limitMs, isUp, failed, late, asked } = this.#options;
    if (!isUp() || this.#isDoubtful || this.#asked >= MAX_QUESTIONS) return undefined;
    this.#asked += 1;
    const askedAt = performance.now();
    let isAnswered = false;
    const answering = question()
      .catch((error: unknown) => {
        failed(error);
        return undefined;
      })
      .finally(() => {
        this.#asked -= 1;
        isAnswered = true;
      });
    const answer = await withTimeout(limitMs, answering);
    asked?.(performance.now() - askedAt, isAnswered);
    if (!isAnswered) {
      this.#isDoubtful = true;
      late();
    }
    return answer && { ...answer, ageMs: answer.ageMs + performance.now() - askedAt };
  }
}
