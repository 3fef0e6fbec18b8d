import type { ClusterProblems } from "../cluster-problems.ts";

/** Every replica asks every other one more often than this, in milliseconds. */
const OVER_AFTER_MS = 60_000;

/** Tells of another replica that takes this one's address for its own, until it does so no more. */
export class Twins implements Disposable {
  readonly #problems: Pick<ClusterProblems, "notice" | "over">;
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(problems: Pick<ClusterProblems, "notice" | "over">) {
    this.#problems = problems;
  }

  /**
   * Another replica has the address of this one for its own, or answers there.
   *
   * @param id the address that both have
   */
  met(id: string, detail: string): void {
    this.#problems.notice("duplicate-id", id, detail);
    clearTimeout(this.#timers.get(id));
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      this.#problems.over("duplicate-id", id);
    }, OVER_AFTER_MS);
    this.#timers.set(id, timer.unref());
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }
}
