import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Visibility, VisibilityRecord } from "../../store/visibility.ts";
import { answerInTime } from "./answer-in-time.ts";
import { type AskedPlace, placeKey } from "./asked-place.ts";
import { QuestionCounts } from "./question-counts.ts";
import { type Answer, type AskedResource, askRegistry, isStillShown } from "./registry-question.ts";
import { SharedQuestions } from "./shared-question.ts";

/** How long it is believed whether a registry shows a repository to anybody, in milliseconds. */
const TTL_MS = 600_000;
/** How long a registry that did not answer is not asked again, in milliseconds. */
const RETRY_MS = 5000;
/** How long ago a registry may have said it of a repository whose name is told, in milliseconds. */
export const NAME_MS = 86_400_000;
/** How many repositories are kept in memory: about 2 MB. */
const MAX_ENTRIES = 10_000;

/** `unknown`: the registry did not say, now or before. */
export type Shown =
  | {
      readonly kind: "public";
      /** In milliseconds of the epoch. */
      readonly until: number;
      /** Whether the registry has not said it lately, since it cannot be asked. */
      readonly isStale: boolean;
    }
  | { readonly kind: "private" }
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly fault: Fault };

interface Known extends VisibilityRecord {
  /** When the registry was last asked in vain, in milliseconds of the epoch. */
  readonly triedAt: number;
}

/** Of what was public, and perhaps is no more: so old that the registry is asked. */
const NO_LONGER: VisibilityRecord = { isPublic: false, askedAt: 0 };

export interface PublicRepositoriesOptions {
  readonly visibility: Pick<Visibility, "get" | "publicAmong"> & {
    /** Says whether it was written. Does not reject. */
    put(repo: RepositoryRef, record: VisibilityRecord): Promise<unknown>;
  };
  /** Counts what registries are asked. */
  readonly questions?: QuestionCounts;
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
  readonly #known = new LRUCache<string, Known>(growingTo(MAX_ENTRIES));
  readonly #questions = new SharedQuestions();
  readonly #counts: QuestionCounts;
  #generation = 0;

  constructor(options: PublicRepositoriesOptions) {
    this.#options = options;
    this.#counts = options.questions ?? new QuestionCounts();
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
    const asking = this.#questions.ask(key, resource, () => this.#ask(place, resource, known));
    let answer: Answer | undefined;
    try {
      answer = await (known ? answerInTime(asking) : asking);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return { kind: "unknown", fault: error };
    }
    if (answer === undefined && known) {
      const tried = { ...known, triedAt: this.#now() };
      if (this.#known.peek(key) === known) this.#known.set(key, tried);
      return this.#stale(tried);
    }
    if (answer === "absent") return { kind: "absent" };
    if (answer === "refused") return { kind: "private" };
    return { kind: "public", until: this.#now() + TTL_MS, isStale: false };
  }

  /** Asks anew for all before it is believed: the configuration has changed, perhaps the registry's address. */
  clear(): void {
    this.#generation += 1;
    this.#known.clear();
  }

  /** The registry has just refused to anybody what it showed: it is asked anew, and not believed meanwhile. */
  async doubt(repo: RepositoryRef): Promise<void> {
    const known = this.#known.get(placeKey(repo));
    if (known?.isPublic) await this.#keep(repo, NO_LONGER, this.#generation);
  }

  /** Whether the registry shows a repository to anybody, as it has said lately. Nobody is asked. */
  async isPublic(repo: RepositoryRef): Promise<boolean> {
    const known = this.#known.get(placeKey(repo)) ?? (await this.#load(repo));
    return known?.isPublic === true && this.#isFresh(known, TTL_MS);
  }

  /** Those of some repositories whose names may be told to anybody. Nobody is asked. */
  among(
    upstream: UpstreamName,
    repositories: readonly RepositoryName[],
  ): Promise<RepositoryName[]> {
    return this.#options.visibility.publicAmong(upstream, repositories, this.#now() - NAME_MS);
  }

  async #ask({ upstream, repo }: AskedPlace, resource: AskedResource, known: Known | undefined) {
    const generation = this.#generation;
    const registry = upstream.registry.asClient(undefined, { skipsMirrors: true, asksAnew: true });
    const asking = askRegistry(registry, repo.repository, resource);
    const answer = await this.#counts.counted(repo.upstream, "anybody", asking);
    if (answer === "absent") {
      // What was public before does not come back in an outage. It is asked for again meanwhile.
      const isHidden = known?.isPublic && !(await isStillShown(registry, repo.repository));
      if (isHidden) await this.#keep(repo, NO_LONGER, generation);
      return answer;
    }
    const record = { isPublic: answer === "shown", askedAt: this.#now() };
    // Of what was never public, nothing is written: names can be made up.
    await this.#keep(repo, record, generation, record.isPublic || known?.isPublic === true);
    if (record.isPublic) await this.#options.onShown(repo);
    return answer;
  }

  async #keep(
    repo: RepositoryRef,
    record: VisibilityRecord,
    generation: number,
    isWritten = true,
  ): Promise<void> {
    if (generation !== this.#generation) return;
    this.#known.set(placeKey(repo), { ...record, triedAt: -Infinity });
    if (isWritten) await this.#options.visibility.put(repo, record);
  }

  async #load(repo: RepositoryRef): Promise<Known | undefined> {
    const record = await this.#options.visibility.get(repo);
    if (!record) return undefined;
    const askedAt = this.#generation === 0 ? record.askedAt : -Infinity;
    const loaded = { isPublic: record.isPublic, askedAt, triedAt: -Infinity };
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
    if (!isPublic) return { kind: "private" };
    return { kind: "public", until: triedAt + RETRY_MS, isStale: true };
  }
}

function shownBy({ isPublic, askedAt }: Known, ttl: number): Shown {
  if (!isPublic) return { kind: "private" };
  return { kind: "public", until: askedAt + ttl, isStale: false };
}
