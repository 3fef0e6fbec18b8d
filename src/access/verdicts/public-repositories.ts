import { LRUCache } from "lru-cache";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Visibility, VisibilityRecord } from "../../store/visibility.ts";
import { type AskedPlace, placeKey } from "./asked-place.ts";
import { type AskedResource, askRegistry } from "./registry-question.ts";
import { SharedQuestions } from "./shared-question.ts";

/** How long it is believed whether a registry shows a repository to anybody, in milliseconds. */
const TTL_MS = 600_000;
/** How long a registry that did not answer is not asked again, in milliseconds. */
const RETRY_MS = 5000;
/** How long ago a registry may have said it of a repository whose name is told, in milliseconds. */
const NAME_MS = 86_400_000;
/** How many repositories are kept in memory: about 2 MB. */
const MAX_ENTRIES = 10_000;

/** `unknown`: the registry did not say, now or before. */
export type Shown =
  | { readonly kind: "public"; /** In milliseconds of the epoch. */ readonly until: number }
  | { readonly kind: "private" }
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly fault: Fault };

interface Known extends VisibilityRecord {
  /** When the registry was last asked in vain, in milliseconds of the epoch. */
  readonly triedAt: number;
}

export interface PublicRepositoriesOptions {
  readonly visibility: Pick<Visibility, "get" | "publicAmong"> & {
    /** Says whether it was written. Does not reject. */
    put(repo: RepositoryRef, record: VisibilityRecord): Promise<unknown>;
  };
  /** A registry has shown something of a repository. */
  readonly onShown: (repo: RepositoryRef) => Promise<void>;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * Which repositories a registry shows to anybody: found out by asking it without credentials. While it
 * cannot be asked, what it said last holds, also after a restart.
 */
export class PublicRepositories {
  readonly #options: PublicRepositoriesOptions;
  readonly #now: () => number;
  readonly #known = new LRUCache<string, Known>({ max: MAX_ENTRIES });
  readonly #questions = new SharedQuestions();

  constructor(options: PublicRepositoriesOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** What is known, if it need not be asked for: the fast path of a hit. */
  known({ upstream, repository }: RepositoryRef): Shown | undefined {
    const known = this.#known.get(placeKey({ upstream, repository }));
    return known && this.#isFresh(known, TTL_MS) ? shownBy(known, TTL_MS) : undefined;
  }

  /** What the registry shows of a repository to anybody. Asks it, if that was long ago. */
  async find(place: AskedPlace, resource: AskedResource): Promise<Shown> {
    const { repo } = place;
    const key = placeKey(repo);
    const known = this.#known.get(key) ?? (await this.#load(repo));
    if (known && this.#isFresh(known, TTL_MS)) return shownBy(known, TTL_MS);
    const sinceTry = this.#now() - (known?.triedAt ?? -Infinity);
    if (known && sinceTry >= 0 && sinceTry < RETRY_MS) return this.#stale(known);
    try {
      const answer = await this.#questions.ask(key, resource, () => this.#ask(place, resource));
      if (answer === "absent") return { kind: "absent" };
      if (answer === "refused") return { kind: "private" };
      return { kind: "public", until: this.#now() + TTL_MS };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (!known) return { kind: "unknown", fault: error };
      const tried = { ...known, triedAt: this.#now() };
      this.#known.set(key, tried);
      return this.#stale(tried);
    }
  }

  /** Those of some repositories whose names may be told to anybody. Nobody is asked. */
  among(
    upstream: UpstreamName,
    repositories: readonly RepositoryName[],
  ): Promise<RepositoryName[]> {
    return this.#options.visibility.publicAmong(upstream, repositories, this.#now() - NAME_MS);
  }

  async #ask({ upstream, repo }: AskedPlace, resource: AskedResource) {
    const registry = upstream.registry.asClient(undefined, { skipsMirrors: true, asksAnew: true });
    const answer = await askRegistry(registry, repo.repository, resource);
    if (answer === "absent") return answer;
    const record = { isPublic: answer === "shown", askedAt: this.#now() };
    this.#known.set(placeKey(repo), { ...record, triedAt: -Infinity });
    await this.#options.visibility.put(repo, record);
    if (record.isPublic) await this.#options.onShown(repo);
    return answer;
  }

  async #load(repo: RepositoryRef): Promise<Known | undefined> {
    const record = await this.#options.visibility.get(repo);
    if (!record) return undefined;
    const loaded = { ...record, triedAt: -Infinity };
    // Somebody else may have learnt more meanwhile.
    const known = this.#known.get(placeKey(repo)) ?? loaded;
    this.#known.set(placeKey(repo), known);
    return known;
  }

  #isFresh({ askedAt }: Known, ttl: number): boolean {
    const age = this.#now() - askedAt;
    return age >= 0 && age < ttl;
  }

  /** Until it is asked again. */
  #stale({ isPublic, triedAt }: Known): Shown {
    return isPublic ? { kind: "public", until: triedAt + RETRY_MS } : { kind: "private" };
  }
}

function shownBy({ isPublic, askedAt }: Known, ttl: number): Shown {
  return isPublic ? { kind: "public", until: askedAt + ttl } : { kind: "private" };
}
