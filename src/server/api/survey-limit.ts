import { ProblemError } from "./problem-details.ts";

/** How many requests that read every image are answered at once: each takes memory until it is answered. */
const MAX_SURVEYS = 4;

/** Admits few requests that read every image. */
export class SurveyLimit {
  #running = 0;

  /** @throws ProblemError if too many are in progress */
  async run<Answer>(answer: () => Promise<Answer>): Promise<Answer> {
    if (this.#running >= MAX_SURVEYS) {
      const detail = `${MAX_SURVEYS} requests that read every image are in progress`;
      const next = "try again when one is done";
      throw new ProblemError({ status: 503, detail, next, headers: { "retry-after": "1" } });
    }
    this.#running += 1;
    try {
      return await answer();
    } finally {
      this.#running -= 1;
    }
  }
}
