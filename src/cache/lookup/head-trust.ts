import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { keyOf } from "./manifest-store.ts";

/**
 * How long a repository is asked by GET after its HEAD failed or disagreed with GET, in milliseconds.
 * Registries are upgraded, and a tag that is pushed between HEAD and GET looks like a disagreement.
 */
const DOUBT_MS = 600_000;
/**
 * How often in a row a HEAD alone may confirm a tag. Then a GET has to: a HEAD from another cache on the
 * way may name the old digest for ever.
 */
const MAX_CONFIRMATIONS = 3;
const MAX_ENTRIES = 10_000;

/**
 * How far the HEAD of a tag is believed. A HEAD says cheaply that nothing has changed; what a tag points
 * to is decided by GET. Registries answer HEAD with errors where GET works, with a digest that they do
 * not serve, or with that of another image.
 */
export class HeadTrust {
  /** Repositories whose HEAD failed or disagreed with GET. */
  readonly #doubted: LRUCache<string, true>;
  /** By tag, how often a HEAD has confirmed it since the last GET. */
  readonly #confirmations = new LRUCache<string, number>(growingTo(MAX_ENTRIES));
  /** By repository and digest, the tag whose HEAD named the digest to a client. */
  readonly #claims = new LRUCache<string, Tag>(growingTo(MAX_ENTRIES));

  /** @param now a monotonic clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    const perf = { now };
    this.#doubted = new LRUCache({
      ...growingTo(MAX_ENTRIES),
      ttl: DOUBT_MS,
      perf,
      ttlResolution: 0,
    });
  }

  /** Whether a HEAD for a tag of this repository is worth sending. */
  isTrusted(repo: RepositoryRef): boolean {
    return !this.#doubted.has(repositoryKey(repo));
  }

  /** A HEAD failed where GET works, or named another digest. */
  doubt(repo: RepositoryRef): void {
    this.#doubted.set(repositoryKey(repo), true);
  }

  /** Counts that a HEAD confirmed a tag. `false`: a GET has to confirm it this time. */
  mayConfirm(repo: RepositoryRef, tag: Tag): boolean {
    const key = keyOf(repo, tag);
    const count = this.#confirmations.get(key) ?? 0;
    const isEnough = count < MAX_CONFIRMATIONS;
    this.#confirmations.set(key, isEnough ? count + 1 : 0);
    return isEnough;
  }

  /** A client was told by a HEAD, unverified, that the tag points to this digest. */
  claimed(repo: RepositoryRef, tag: Tag, digest: Digest): void {
    this.#claims.set(keyOf(repo, digest), tag);
  }

  /**
   * The tag whose HEAD named this digest. Each claim is returned once, and a GET has to confirm the tag
   * the next time.
   */
  takeClaim(repo: RepositoryRef, digest: Digest): Tag | undefined {
    const key = keyOf(repo, digest);
    const tag = this.#claims.get(key);
    if (tag === undefined) return undefined;
    this.#claims.delete(key);
    this.#confirmations.set(keyOf(repo, tag), MAX_CONFIRMATIONS);
    return tag;
  }
}

function repositoryKey({ upstream, repository }: RepositoryRef): string {
  return `${upstream}/${repository}`;
}
