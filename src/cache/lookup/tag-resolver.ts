import { matchesAny } from "../../config/parsing/repository-pattern.ts";
import { type Digest, looksLikeDigest } from "../../oci/digest.ts";
import { Fault, isUpstreamFault } from "../../oci/fault.ts";
import type { Tag, UpstreamName } from "../../oci/names.ts";
import type { Index, Place, TagFact } from "../../store/metadata-store.ts";
import { Coalesce } from "../single-flight.ts";
import { type HeldManifest, keyOf, type Manifests } from "./manifest-store.ts";
import type { Negatives } from "./negative-cache.ts";
import { type CacheNote, HIT, JOINED, MISS, REVALIDATED } from "../cache-status.ts";
import { within } from "../with-timeout.ts";
import type { Upstream } from "../upstream.ts";

/** Of what never changes. */
export const ALWAYS: Fresh = { from: -Infinity, until: Infinity };

/** The longest that a pull whose answer is here waits to learn whether it is still the answer. */
const PATIENCE_MS = 1000;

/** A time in which a tag's fact needs no asking: from the first moment on, and before the second. */
export interface Fresh {
  readonly from: number;
  readonly until: number;
}

export interface Resolved {
  readonly digest: Digest;
  readonly note: CacheNote;
  /** Set for a hit: how long it is one, in milliseconds of the epoch. */
  readonly fresh?: Fresh;
  /** Where resolving brought the manifest along. */
  readonly manifest?: HeldManifest;
}

/** What tags point at: asked of the upstream at most once per TTL, and never in the way of an answer that is here. */
export class Tags {
  readonly #index: Index;
  readonly #manifests: Manifests;
  readonly #negatives: Negatives;
  readonly #now: () => number;
  readonly #revalidations = new Coalesce<Resolved>();
  /** Upstreams that kept a revalidation waiting, and how many still do. */
  readonly #hanging = new Map<UpstreamName, number>();

  constructor(index: Index, manifests: Manifests, negatives: Negatives, now: () => number) {
    this.#index = index;
    this.#manifests = manifests;
    this.#negatives = negatives;
    this.#now = now;
  }

  /**
   * What the tag points at now, or pointed at when its upstream last answered.
   *
   * @throws Fault where nothing is known of it, or the upstream says that it is gone
   */
  async resolve(upstream: Upstream, place: Place, tag: Tag): Promise<Resolved> {
    const fact = await this.#index.tags.get(place, tag);
    if (!fact) return this.#learn(upstream, place, tag);
    const fresh = freshness(upstream, tag, fact);
    const now = this.#now();
    if (now >= fresh.from && now < fresh.until) return { digest: fact.digest, note: HIT, fresh };
    if (!this.#mayBeStale(upstream, fact)) {
      return this.#revalidate(upstream, place, tag, fact);
    }
    return this.#renew(upstream, place, tag, fact);
  }

  #mayBeStale({ settings }: Upstream, fact: TagFact): boolean {
    return settings.staleFor === undefined || this.#now() - fact.checkedAt < settings.staleFor;
  }

  async #learn(upstream: Upstream, place: Place, tag: Tag): Promise<Resolved> {
    const note = this.#manifests.isFetching(place, tag) ? JOINED : MISS;
    const manifest = await this.#negatives.run(keyOf(place, tag), () =>
      this.#fetchNew(upstream, place, tag),
    );
    await this.#index.tags.put(place, tag, { digest: manifest.digest, checkedAt: this.#now() });
    return { digest: manifest.digest, note, manifest };
  }

  /** Where requests are counted, a free HEAD may find that another tag has brought the manifest already. */
  async #fetchNew(upstream: Upstream, place: Place, tag: Tag): Promise<HeldManifest> {
    if (upstream.registry.budget) {
      const digest = await this.#askForDigest(upstream, place, tag);
      const held = digest && (await this.#manifests.held(place, digest));
      if (held) return held;
    }
    return this.#manifests.fetch(upstream, place, tag);
  }

  async #renew(upstream: Upstream, place: Place, tag: Tag, fact: TagFact): Promise<Resolved> {
    const { name } = upstream.settings;
    const { registry } = upstream;
    if (registry.isAiling) {
      return stale(fact, `${name} failed or set a limit a moment ago and is not asked yet`);
    }
    const renewal = this.#revalidate(upstream, place, tag, fact);
    if (registry.fault || this.#hanging.has(name)) {
      renewal.catch(() => {});
      return stale(fact, `${name} failed when it was last asked; it is being asked again`);
    }
    try {
      const renewed = await within(PATIENCE_MS, renewal);
      if (renewed) return renewed;
    } catch (error) {
      if (error instanceof Fault && isUpstreamFault(error))
        return stale(fact, error.message, error);
      throw error;
    }
    this.#notWaitedFor(name, renewal);
    return stale(fact, `${name} has not answered within ${PATIENCE_MS / 1000} s`);
  }

  #revalidate(upstream: Upstream, place: Place, tag: Tag, fact: TagFact): Promise<Resolved> {
    return this.#revalidations.run(`${place.upstream}/${place.repository}:${tag}`, async () => {
      try {
        const digest = await this.#askForDigest(upstream, place, tag);
        if (digest === fact.digest) {
          await this.#index.tags.put(place, tag, { digest, checkedAt: this.#now() });
          return { digest, note: REVALIDATED };
        }
        const known = digest && (await this.#manifests.held(place, digest));
        if (!known && upstream.registry.isFrugal) {
          const left = upstream.registry.budget?.remaining ?? 0;
          const name = upstream.settings.name;
          return stale(
            fact,
            `${name} allows ${left} more requests, which are kept for new content`,
          );
        }
        // The manifest first: a tag never points at something that cannot be served.
        const manifest = known || (await this.#fetchMoved(upstream, place, digest ?? tag));
        await this.#index.tags.put(place, tag, { digest: manifest.digest, checkedAt: this.#now() });
        const note = manifest.digest === fact.digest ? REVALIDATED : MISS;
        return { digest: manifest.digest, note, manifest };
      } catch (error) {
        if (error instanceof Fault && error.detail.kind === "unknown") {
          await this.#index.tags.remove(place, tag);
        }
        throw error;
      }
    });
  }

  async #fetchMoved(
    upstream: Upstream,
    place: Place,
    reference: Digest | Tag,
  ): Promise<HeldManifest> {
    try {
      return await this.#manifests.fetch(upstream, place, reference);
    } catch (error) {
      if (!(error instanceof Fault) || error.detail.kind !== "unknown") throw error;
      if (!looksLikeDigest(reference)) throw error;
      // The tag is there, so this is no word on whether the image is.
      const reason = `it has no ${reference}, to which its tag points`;
      const { name } = upstream.settings;
      throw new Fault({ kind: "upstream-untrue", upstream: name, reason }, { cause: error });
    }
  }

  /** By HEAD, which is free at Docker Hub; `undefined` where that does not tell. */
  async #askForDigest(upstream: Upstream, place: Place, tag: Tag): Promise<Digest | undefined> {
    const head = await upstream.registry
      .headManifest(place.repository, tag)
      .catch(unlessWithoutHead);
    return head?.digest;
  }

  #notWaitedFor(name: UpstreamName, renewal: Promise<unknown>): void {
    this.#hanging.set(name, (this.#hanging.get(name) ?? 0) + 1);
    const answered = (): void => {
      const left = (this.#hanging.get(name) ?? 1) - 1;
      if (left > 0) this.#hanging.set(name, left);
      else this.#hanging.delete(name);
    };
    renewal.then(answered, answered);
  }
}

function freshness({ settings }: Upstream, tag: Tag, { checkedAt }: TagFact): Fresh {
  if (matchesAny(settings.immutableTags, tag)) return ALWAYS;
  // From its check on only: a clock that was set back must not make a fact last for ever.
  return { from: checkedAt, until: checkedAt + settings.tagTtl };
}

/** Some registries do not know HEAD, and answer a GET all the same. */
export function unlessWithoutHead(error: unknown): undefined {
  if (error instanceof Fault && error.detail.kind === "upstream-failed") {
    if (error.detail.status === 405 || error.detail.status === 501) return undefined;
  }
  throw error;
}

function stale(fact: TagFact, reason: string, fault?: Fault): Resolved {
  const status = fault && "status" in fault.detail ? fault.detail.status : undefined;
  const limited = fault?.detail.kind === "upstream-limited" ? 429 : undefined;
  const upstreamStatus = status ?? limited;
  return {
    digest: fact.digest,
    note: { result: "stale", reason, ...(upstreamStatus === undefined ? {} : { upstreamStatus }) },
  };
}
