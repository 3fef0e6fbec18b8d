import type { Log } from "./log.ts";

/** Without being noticed again for this long, a problem is over, in milliseconds. */
const OVER_AFTER_MS = 300_000;
const CHECK_INTERVAL_MS = 1000;

export interface NoticedProblemsOptions {
  readonly log: Log;
  /** What the log says when one is over. */
  readonly over: string;
  /** In milliseconds. */
  readonly overAfter?: number | undefined;
}

interface Noticed<Problem> {
  readonly problem: Problem;
  readonly at: number;
  readonly stays: boolean;
}

/**
 * Problems by a key: of each, the beginning and the end are logged once, however often it is noticed.
 * One ends when it has not been noticed for a while, or when whoever noticed it says so.
 */
export class NoticedProblems<Problem extends { readonly text: string }> {
  readonly #options: NoticedProblemsOptions;
  readonly #noticed = new Map<string, Noticed<Problem>>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: NoticedProblemsOptions) {
    this.#options = options;
  }

  /**
   * @param problem with its figures, and what to do: the newest is shown
   * @param stays until it is said to be over, however long it is not noticed again
   */
  notice(key: string, problem: Problem, stays = false): void {
    if (!this.#noticed.has(key)) this.#options.log.warn({ problem: key }, problem.text);
    this.#noticed.set(key, { problem, at: performance.now(), stays });
    this.#timer ??= setInterval(() => this.#check(), CHECK_INTERVAL_MS).unref();
  }

  /** It is known to be over; nothing happens if it was none. */
  over(key: string): void {
    if (!this.#noticed.delete(key)) return;
    this.#options.log.info({ problem: key }, this.#options.over);
    if (this.#noticed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Each with the milliseconds since it was noticed last: none for what stays until it is said to be over. */
  get current(): readonly { readonly problem: Problem; readonly age: number }[] {
    const now = performance.now();
    return [...this.#noticed.values()].map(({ problem, at, stays }) => ({
      problem,
      age: stays ? 0 : now - at,
    }));
  }

  has(key: string): boolean {
    return this.#noticed.has(key);
  }

  get size(): number {
    return this.#noticed.size;
  }

  #check(): void {
    const { overAfter = OVER_AFTER_MS } = this.#options;
    const over = performance.now() - overAfter;
    for (const [key, { at, stays }] of this.#noticed) if (!stays && at <= over) this.over(key);
  }
}
