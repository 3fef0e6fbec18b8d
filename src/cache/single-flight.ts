/** Collapses concurrent work: at most one call runs per key, and callers meanwhile share its promise. */
export class SingleFlight<Value> {
  readonly #running = new Map<string, Promise<Value>>();

  /** Starts `work`, unless work of this key is running already. Results are not cached. */
  run(key: string, work: () => Promise<Value>): Promise<Value> {
    const running = this.#running.get(key);
    if (running) return running;
    const started = work().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }

  running(key: string): Promise<Value> | undefined {
    return this.#running.get(key);
  }

  isRunning(key: string): boolean {
    return this.#running.has(key);
  }
}
