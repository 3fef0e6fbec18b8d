import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import {
  latestFirst,
  type Override,
  type OverrideStore,
  stampOf,
} from "../../store/override-store.ts";

/** After which the clock is looked at again, in milliseconds: it may have been set. */
const LONGEST_WAIT = 60_000;

/** An override with its pattern, parsed. */
export interface ParsedOverride {
  readonly override: Override;
  readonly pattern: ImagePattern;
}

/** What operators decided of tags: all in memory, and kept. Those that have ended are shown, and decide nothing. */
export class Overrides {
  readonly #store: OverrideStore;
  readonly #byId = new Map<string, ParsedOverride>();
  #revision = 0;
  #latestStamp = 0;
  #ending: ReturnType<typeof setTimeout> | undefined;
  #onChange: (() => void) | undefined;

  private constructor(store: OverrideStore) {
    this.#store = store;
  }

  /** @throws Fault if what is kept cannot be read */
  static async open(store: OverrideStore): Promise<Overrides> {
    const overrides = new Overrides(store);
    for (const override of await store.list()) overrides.#set(override);
    overrides.#changed();
    return overrides;
  }

  /** Grows with each change: what was decided before it may be decided otherwise now. */
  get revision(): number {
    return this.#revision;
  }

  /** Also those that have ended, the latest first. */
  get all(): readonly Override[] {
    return [...this.#byId.values()].map(({ override }) => override).toSorted(latestFirst);
  }

  /** For an override that is made now: it is later than all that are known here, whatever the clocks say. */
  nextStamp(now: number): number {
    this.#latestStamp = Math.min(Math.max(now, this.#latestStamp + 1), Number.MAX_SAFE_INTEGER);
    return this.#latestStamp;
  }

  /** Called after each change, from now on. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  get(id: string): Override | undefined {
    return this.#byId.get(id)?.override;
  }

  /** Those that hold at a moment, in milliseconds of the epoch. */
  *active(now: number): Generator<ParsedOverride> {
    for (const parsed of this.#byId.values()) if (isActive(parsed.override, now)) yield parsed;
  }

  /** When the next of those that hold at a moment ends by itself. */
  nextEnd(now: number): number {
    return Math.min(...[...this.active(now)].map(({ override: { until = Infinity } }) => until));
  }

  /**
   * Adds an override, or replaces the one of the same id. It holds once this has resolved, and after a crash.
   *
   * @throws Fault if it cannot be kept: then it does not hold
   */
  async put(override: Override): Promise<void> {
    await this.#store.put(override);
    this.#set(override);
    this.#changed();
  }

  #set(override: Override): void {
    this.#latestStamp = Math.max(this.#latestStamp, stampOf(override));
    const pattern = parseImagePattern(override.pattern);
    // It was parsed when it was given: only another version of this program could have taken it.
    if (pattern) this.#byId.set(override.id, { override, pattern });
  }

  #changed(): void {
    this.#revision += 1;
    this.#onChange?.();
    clearTimeout(this.#ending);
    this.#awaitEnd();
  }

  /** One that ends by itself is a change, too. */
  #awaitEnd(): void {
    const now = Date.now();
    const wait = this.nextEnd(now) - now;
    if (wait === Infinity) return;
    this.#ending = setTimeout(
      () => (wait > LONGEST_WAIT ? this.#awaitEnd() : this.#changed()),
      Math.min(wait, LONGEST_WAIT),
    );
    this.#ending.unref();
  }
}

export function isActive({ ended, until }: Override, now: number): boolean {
  return !ended && (until === undefined || now < until);
}
