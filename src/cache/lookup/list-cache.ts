import { Fault, isUpstreamFault } from "../../oci/fault.ts";
import type { Index, Place } from "../../store/metadata-store.ts";
import { Coalesce } from "../single-flight.ts";
import { BYPASS, type CacheNote, HIT, MISS } from "../cache-status.ts";
import { isBypassed, type Upstream } from "../upstream.ts";

export interface Listed<Value> {
  readonly value: Value;
  readonly note: CacheNote;
}

export interface Question<Value> {
  readonly upstream: Upstream;
  readonly place: Place;
  readonly key: string;
  ask(): Promise<Value>;
  parse(body: string): Value;
  /** Whether the answer is to outlive the request; unset for yes. */
  readonly keep?: (value: Value) => Promise<boolean>;
}

/** Lists that an upstream makes (tags, referrers): kept for its TTL, and served stale when it fails. */
export class Listings {
  readonly #index: Index;
  readonly #now: () => number;
  readonly #asking = new Coalesce<unknown>();

  constructor(index: Index, now: () => number) {
    this.#index = index;
    this.#now = now;
  }

  /** @throws Fault where the upstream fails and nothing is known */
  async get<Value>(question: Question<Value>): Promise<Listed<Value>> {
    const { upstream, place, key } = question;
    if (isBypassed(upstream, place)) return { value: await question.ask(), note: BYPASS };
    const known = await this.#index.listings.get(place, key);
    const age = known ? this.#now() - known.checkedAt : -1;
    if (known && age >= 0 && age < upstream.settings.tagTtl) {
      return { value: question.parse(known.body), note: HIT };
    }
    const { staleFor = Infinity } = upstream.settings;
    const stale = age < staleFor ? known : undefined;
    if (stale && upstream.registry.isAiling) {
      const reason = `${upstream.settings.name} failed or set a limit a moment ago and is not asked yet`;
      return { value: question.parse(stale.body), note: { result: "stale", reason } };
    }
    try {
      // The key names one question, and with it the type of its answer.
      const value = (await this.#asking.run(`${place.upstream}/${place.repository} ${key}`, () =>
        this.#ask(question),
      )) as Value;
      return { value, note: MISS };
    } catch (error) {
      if (!stale || !(error instanceof Fault) || !isUpstreamFault(error)) throw error;
      const note: CacheNote = { result: "stale", reason: error.message };
      return { value: question.parse(stale.body), note };
    }
  }

  async #ask<Value>(question: Question<Value>): Promise<Value> {
    const value = await question.ask();
    if (!question.keep || (await question.keep(value))) {
      const listing = { body: JSON.stringify(value), checkedAt: this.#now() };
      await this.#index.listings.put(question.place, question.key, listing);
    }
    return value;
  }
}
