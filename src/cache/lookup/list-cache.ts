import { Fault, isUpstreamFault } from "../../oci/fault.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { SingleFlight } from "../single-flight.ts";
import { BYPASS, type CacheStatus, HIT, MISS } from "../cache-status.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";

export interface CachedList<Value> {
  readonly value: Value;
  readonly cacheStatus: CacheStatus;
}

export interface ListQuery<Value> {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
  readonly key: string;
  fetch(): Promise<Value>;
  parse(body: string): Value;
  /** Whether the answer is to outlive the request; unset for yes. */
  readonly mayStore?: (value: Value) => Promise<boolean>;
}

/** Lists that an upstream makes (tags, referrers): kept for its TTL, and served stale when it fails. */
export class ListCache {
  readonly #metadata: Pick<PullMetadata, "listings">;
  readonly #now: () => number;
  readonly #asking = new SingleFlight<unknown>();

  constructor(metadata: Pick<PullMetadata, "listings">, now: () => number) {
    this.#metadata = metadata;
    this.#now = now;
  }

  /** @throws Fault where the upstream fails and nothing is known */
  async get<Value>(question: ListQuery<Value>): Promise<CachedList<Value>> {
    const { upstream, repo, key } = question;
    if (isBypassed(upstream, repo)) return { value: await question.fetch(), cacheStatus: BYPASS };
    const known = await this.#metadata.listings.get(repo, key);
    const age = known ? this.#now() - known.checkedAt : -1;
    if (known && age >= 0 && age < upstream.settings.tagTtl) {
      return { value: question.parse(known.body), cacheStatus: HIT };
    }
    const { staleFor = Infinity } = upstream.settings;
    const stale = age < staleFor ? known : undefined;
    if (stale && upstream.registry.isUnhealthy) {
      const reason = `${upstream.settings.name} failed or set a limit a moment ago and is not asked yet`;
      return { value: question.parse(stale.body), cacheStatus: { result: "stale", reason } };
    }
    try {
      // The key names one question, and with it the type of its answer.
      const value = (await this.#asking.run(`${repo.upstream}/${repo.repository} ${key}`, () =>
        this.#ask(question),
      )) as Value;
      return { value, cacheStatus: MISS };
    } catch (error) {
      if (!stale || !(error instanceof Fault) || !isUpstreamFault(error)) throw error;
      const cacheStatus: CacheStatus = { result: "stale", reason: error.message };
      return { value: question.parse(stale.body), cacheStatus };
    }
  }

  async #ask<Value>(question: ListQuery<Value>): Promise<Value> {
    const value = await question.fetch();
    if (!question.mayStore || (await question.mayStore(value))) {
      const listing = { body: JSON.stringify(value), checkedAt: this.#now() };
      await this.#metadata.listings.put(question.repo, question.key, listing);
    }
    return value;
  }
}
