/** A part of a glob pattern. */
export type GlobPart =
  /** One character. */
  | { readonly kind: "one"; readonly accepts: (character: string) => boolean }
  /** Any number of characters, none included. */
  | { readonly kind: "many"; readonly accepts: (character: string) => boolean }
  /** One of several sequences. */
  | { readonly kind: "choice"; readonly choices: readonly (readonly GlobPart[])[] };

interface State {
  /** The character that leads from here to `next`; absent for a state that takes none. */
  readonly accepts?: (character: string) => boolean;
  readonly next: number;
  /** States that are reached from here without a character. */
  readonly free: readonly number[];
}

/**
 * Matches names against a glob pattern, in at most `states × characters` steps. A regular expression
 * backtracks: `*-*-*-*-*x` took seconds for a name of 253 dashes, which any client may ask for.
 *
 * It follows all paths through the pattern at once (Thompson's simulation of an NFA).
 */
export class GlobMatcher {
  /** In the order of the pattern, so that `next` and `free` mostly lead forward. The last one is the end. */
  readonly #states: State[] = [];
  /** By state, the number of the step in which it was reached last. */
  readonly #reachedIn: Float64Array;
  #step = 0;

  constructor(parts: readonly GlobPart[]) {
    this.#compile(parts);
    this.#states.push({ next: -1, free: [] });
    this.#reachedIn = new Float64Array(this.#states.length);
  }

  matches(name: string): boolean {
    let current = this.#reach([0]);
    for (const character of name) {
      const next: number[] = [];
      for (const index of current) {
        const state = this.#states[index];
        if (state?.accepts?.(character)) next.push(state.next);
      }
      if (next.length === 0) return false;
      current = this.#reach(next);
    }
    return current.includes(this.#states.length - 1);
  }

  /** Adds the states that are reached without a character. Each appears once. */
  #reach(states: readonly number[]): number[] {
    this.#step += 1;
    const reached: number[] = [];
    const pending = [...states];
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      if (this.#reachedIn[index] === this.#step) continue;
      this.#reachedIn[index] = this.#step;
      reached.push(index);
      pending.push(...(this.#states[index]?.free ?? []));
    }
    return reached;
  }

  /** Appends the states of the parts. They lead to the state that is appended next. */
  #compile(parts: readonly GlobPart[]): void {
    for (const part of parts) {
      const here = this.#states.length;
      if (part.kind === "one")
        this.#states.push({ accepts: part.accepts, next: here + 1, free: [] });
      else if (part.kind === "many")
        this.#states.push({ accepts: part.accepts, next: here, free: [here + 1] });
      else this.#compileChoice(part.choices);
    }
  }

  #compileChoice(choices: readonly (readonly GlobPart[])[]): void {
    const fork = this.#states.length;
    this.#states.push({ next: -1, free: [] });
    const starts: number[] = [];
    const ends: number[] = [];
    for (const choice of choices) {
      starts.push(this.#states.length);
      this.#compile(choice);
      ends.push(this.#states.length);
      this.#states.push({ next: -1, free: [] });
    }
    const after = this.#states.length;
    this.#states[fork] = { next: -1, free: starts };
    for (const end of ends) this.#states[end] = { next: -1, free: [after] };
  }
}
