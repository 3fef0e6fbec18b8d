import { LRUCache } from "lru-cache";
import type { Question } from "./server-errors.ts";

/** For how long a mirror is not asked the same again, in milliseconds. */
const FIRST_TIME = 5000;
const MAX_TIME = 60_000;
const MAX_QUESTIONS = 1000;

/**
 * What one mirror fails to answer: endpoints of repositories for which it returned a 5xx. Another host has
 * the answer meanwhile, so that asking the mirror again would only cost time.
 */
export class SkippedQuestions {
  readonly #now: () => number;
  readonly #skipped = new LRUCache<string, { until: number; time: number }>({ max: MAX_QUESTIONS });

  /** @param now a monotonic clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  has(question: Question): boolean {
    return this.#now() < (this.#skipped.get(keyOf(question))?.until ?? 0);
  }

  failed(question: Question): void {
    const key = keyOf(question);
    const last = this.#skipped.peek(key);
    const now = this.#now();
    // Concurrent requests fail together: that does not lengthen the time.
    if (last && now < last.until) return;
    const time = Math.min(last ? last.time * 2 : FIRST_TIME, MAX_TIME);
    this.#skipped.set(key, { until: now + time, time });
  }

  answered(question: Question): void {
    this.#skipped.delete(keyOf(question));
  }
}

function keyOf({ kind, repository }: Question): string {
  return `${kind} ${repository}`;
}
