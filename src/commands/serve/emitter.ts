/** Passes each value to all of its listeners, in the order in which they were added. */
export class Emitter<Value> {
  readonly #listeners: ((value: Value) => void)[] = [];

  on(listener: (value: Value) => void): void {
    this.#listeners.push(listener);
  }

  emit(value: Value): void {
    for (const listener of this.#listeners) listener(value);
  }
}
