import { Fault, isOfAsker } from "../oci/fault.ts";

interface Flight<Value> {
  readonly askedAs: string | undefined;
  readonly result: Promise<Value>;
}

/** Collapses concurrent work: at most one call runs per key, and callers meanwhile share its promise. */
export class SingleFlight<Value> {
  readonly #running = new Map<string, Flight<Value>>();

  /**
   * Starts `work`, unless work of this key is running already. Results are not cached.
   *
   * @param askedAs see `Registry.askedAs`: what a registry answers to one of its clients is given to others,
   * but for a refusal. Then it is asked as each of them.
   */
  run(key: string, work: () => Promise<Value>, askedAs?: string): Promise<Value> {
    const running = this.#running.get(key);
    if (!running) {
      const result = work().finally(() => this.#running.delete(key));
      this.#running.set(key, { askedAs, result });
      return result;
    }
    if (running.askedAs === askedAs) return running.result;
    return running.result.catch((error: unknown) => {
      if (!(error instanceof Fault) || !isOfAsker(error)) throw error;
      return this.run(`${key}\n${askedAs ?? ""}`, work, askedAs);
    });
  }

  running(key: string): Promise<Value> | undefined {
    return this.#running.get(key)?.result;
  }

  isRunning(key: string): boolean {
    return this.#running.has(key);
  }
}
