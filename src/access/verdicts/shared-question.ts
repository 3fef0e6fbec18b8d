import { type Answer, type AskedResource, resourceKey } from "./registry-question.ts";

interface Running {
  readonly resource: string;
  readonly answer: Promise<Answer>;
}

/**
 * Collapses questions about one repository that are asked at once. That a resource is absent says nothing
 * of another one, for which a question of its own is asked then: nobody keeps others waiting by asking for
 * many things that do not exist.
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
    const running = this.#running.get(key);
    if (!running) return this.#start(key, name, question);
    const answer = await running.answer;
    if (answer !== "absent" || running.resource === name) return answer;
    const own = `${key} ${name}`;
    return this.#running.get(own)?.answer ?? this.#start(own, name, question);
  }

  #start(key: string, resource: string, question: () => Promise<Answer>): Promise<Answer> {
    const answer = question().finally(() => this.#running.delete(key));
    this.#running.set(key, { resource, answer });
    return answer;
  }
}
