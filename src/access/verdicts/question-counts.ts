import { Fault } from "../../oci/fault.ts";
import type { Answer } from "./registry-question.ts";

/** As whom a registry was asked: as nobody, or with the credentials of a client. */
export type AskedAs = "anybody" | "client";

/** What registries answered when they were asked who may pull. */
export class QuestionCounts {
  readonly #counts = new Map<string, { readonly labels: readonly string[]; value: number }>();

  /** Counts how a question ends. */
  async counted(upstream: string, as: AskedAs, question: Promise<Answer>): Promise<Answer> {
    try {
      const answer = await question;
      this.#add(upstream, as, answer);
      return answer;
    } catch (error) {
      if (error instanceof Fault) this.#add(upstream, as, "failed");
      throw error;
    }
  }

  /** By upstream, as whom, and the answer. */
  [Symbol.iterator](): Iterator<{ readonly labels: readonly string[]; readonly value: number }> {
    return this.#counts.values();
  }

  #add(...labels: readonly [upstream: string, as: AskedAs, outcome: Answer | "failed"]): void {
    const key = labels.join(" ");
    const known = this.#counts.get(key);
    if (known) known.value += 1;
    else this.#counts.set(key, { labels, value: 1 });
  }
}
