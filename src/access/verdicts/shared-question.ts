import { type Answer, type AskedResource, resourceKey } from "./registry-question.ts";

interface Running {
  readonly resource: string;
  readonly answer: Promise<Answer>;
}

/**
 * Collapses questions about one repository that are asked at once. That a resource is absent says nothing
 * of another one, for which the question is then asked anew.
 */
export class SharedQuestions {
  readonly #running = new Map<string, Running>();

  /**
   * @param key the repository, and who asks
   * @throws Fault if the registry does not answer
   */
  async ask(
    key: string,
    resource: AskedResource,
    question: () => Promise<Answer>,
  ): Promise<Answer> {
    const name = resourceKey(resource);
    for (;;) {
      const running = this.#running.get(key);
      if (!running) break;
      // oxlint-disable-next-line no-await-in-loop -- whoever waits goes on only after the one before
      const answer = await running.answer;
      if (answer !== "absent" || running.resource === name) return answer;
    }
    const answer = question().finally(() => this.#running.delete(key));
    this.#running.set(key, { resource: name, answer });
    return answer;
  }
}
