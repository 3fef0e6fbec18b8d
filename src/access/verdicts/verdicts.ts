import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ClientCredentials } from "../../upstream/auth/client-keyring.ts";
import type { ProcessKey } from "../process-key.ts";
import { type AskedPlace, placeKey } from "./asked-place.ts";
import { answerInTime } from "./answer-in-time.ts";
import { QuestionCounts } from "./question-counts.ts";
import {
  type Answer,
  type AskedResource,
  askRegistry,
  isStillShown,
  resourceKey,
} from "./registry-question.ts";
import { SharedQuestions } from "./shared-question.ts";

/** How many grants are kept, and how many refusals besides: about 4 MB each. */
const MAX_ENTRIES = 16_384;
/** How long a refusal is believed, and that something is absent, in milliseconds. */
const REFUSAL_MS = 30_000;
const ABSENCE_MS = 5000;
/** How long a registry that did not answer is not asked again, in milliseconds. */
const RETRY_MS = 5000;

/** What a registry lets a client see. */
export type Verdict =
  | { readonly kind: "granted"; /** In milliseconds of the epoch. */ readonly until: number }
  | {
      readonly kind: "refused";
      /** Whether the registry was asked for this very request. */
      readonly isNew?: boolean;
    }
  | { readonly kind: "absent" };

interface Grant {
  /** When the registry answered, and when it was last asked in vain, in milliseconds of the epoch. */
  readonly at: number;
  readonly triedAt: number;
}

interface Denial {
  readonly answer: Exclude<Answer, "shown">;
  /** When the registry answered, in milliseconds of the epoch. */
  readonly at: number;
}

export interface VerdictsOptions {
  readonly key: ProcessKey;
  /** Counts what registries are asked. */
  readonly questions?: QuestionCounts;
  /** A registry has shown something of a repository. */
  readonly onShown: (repo: RepositoryRef) => Promise<void>;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
  /** How many grants are kept, and how many denials. */
  readonly max?: number;
}

/**
 * What registries said of the credentials of clients, by credentials and repository. Neither the
 * credentials nor anything from which they could be guessed is kept: a verdict has the name that a key of
 * this process gives them.
 */
export class Verdicts {
  readonly #options: VerdictsOptions;
  readonly #now: () => number;
  readonly #grants: LRUCache<string, Grant>;
  /** Apart, since whoever sends wrong credentials has as many of them as it likes. */
  readonly #denials: LRUCache<string, Denial>;
  readonly #questions = new SharedQuestions();
  readonly #counts: QuestionCounts;
  #generation = 0;

  constructor(options: VerdictsOptions) {
    this.#options = options;
    this.#counts = options.questions ?? new QuestionCounts();
    this.#now = options.now ?? Date.now;
    const { max = MAX_ENTRIES } = options;
    this.#grants = new LRUCache(growingTo(max));
    this.#denials = new LRUCache(growingTo(max));
  }

  /** How many are kept. */
  get size(): number {
    return this.#grants.size + this.#denials.size;
  }

  /**
   * What the registry says of a client's credentials. Asks it, if it has not been asked lately.
   *
   * @throws Fault if the registry does not answer, and has not granted this within `accessStaleFor`
   */
  async find(
    place: AskedPlace,
    resource: AskedResource,
    credentials: ClientCredentials,
  ): Promise<Verdict> {
    const { access, repo } = place;
    // Some registries let a client list tags, and pull nothing.
    const key = this.#keyOf(repo, resource.kind === "tags" ? "list" : "pull", credentials);
    const absentKey = `${key} ${resourceKey(resource)}`;
    const grant = this.#grants.get(key);
    if (grant && this.#isWithin(grant.at, access.ttl)) {
      return { kind: "granted", until: grant.at + access.ttl };
    }
    const refused = this.#denials.get(key);
    if (refused && this.#isWithin(refused.at, REFUSAL_MS)) return { kind: "refused" };
    const absent = this.#denials.get(absentKey);
    if (absent && this.#isWithin(absent.at, ABSENCE_MS)) return { kind: "absent" };
    const stale = grant && this.#isWithin(grant.at, access.staleFor) ? grant : undefined;
    if (stale && this.#isWithin(stale.triedAt, RETRY_MS)) {
      return staleVerdict(stale, access.staleFor);
    }
    let isNew = false;
    const asking = this.#questions.ask(key, resource, () => {
      isNew = true;
      return this.#ask(place, resource, credentials, { key, absentKey });
    });
    const answer = await (stale ? answerInTime(asking) : asking);
    if (answer === undefined && stale) {
      const tried = { ...stale, triedAt: this.#now() };
      if (this.#grants.peek(key) === stale) this.#grants.set(key, tried);
      return staleVerdict(tried, access.staleFor);
    }
    if (answer === "shown") return { kind: "granted", until: this.#now() + access.ttl };
    return answer === "absent" ? { kind: "absent" } : { kind: "refused", isNew };
  }

  /** The registry has just refused what it had granted. */
  revoke(repo: RepositoryRef, credentials: ClientCredentials): void {
    this.#grants.delete(this.#keyOf(repo, "pull", credentials));
    this.#grants.delete(this.#keyOf(repo, "list", credentials));
  }

  /** Whether a client was granted a repository, as far as is known without asking. */
  isGranted(
    { repo, access }: Omit<AskedPlace, "upstream">,
    credentials: ClientCredentials,
  ): boolean {
    const grant = this.#grants.get(this.#keyOf(repo, "pull", credentials));
    return grant !== undefined && this.#isWithin(grant.at, access.ttl);
  }

  /** Whether the registry has to be asked about a client, for lack of anything that it said. */
  isUnknown(
    { repo }: Pick<AskedPlace, "repo">,
    resource: AskedResource,
    credentials: ClientCredentials,
  ): boolean {
    const key = this.#keyOf(repo, resource.kind === "tags" ? "list" : "pull", credentials);
    return !this.#grants.has(key) && !this.#denials.has(key);
  }

  /** Forgets all: the rules have changed. Answers that are under way are not believed. */
  clear(): void {
    this.#generation += 1;
    this.#grants.clear();
    this.#denials.clear();
  }

  async #ask(
    { upstream, repo }: AskedPlace,
    resource: AskedResource,
    credentials: ClientCredentials,
    keys: { readonly key: string; readonly absentKey: string },
  ): Promise<Answer> {
    const generation = this.#generation;
    const registry = upstream.registry.asClient(credentials, {
      skipsMirrors: true,
      asksAnew: true,
    });
    const asking = askRegistry(registry, repo.repository, resource);
    const answer = await this.#counts.counted(repo.upstream, "client", asking);
    const isHidden =
      answer === "absent" &&
      this.#grants.has(keys.key) &&
      !(await isStillShown(registry, repo.repository));
    if (generation === this.#generation) this.#keep(answer, isHidden, keys);
    if (answer === "shown") await this.#options.onShown(repo);
    return answer;
  }

  #keep(
    answer: Answer,
    isHidden: boolean,
    { key, absentKey }: { readonly key: string; readonly absentKey: string },
  ): void {
    const at = this.#now();
    if (answer === "shown") {
      this.#grants.set(key, { at, triedAt: -Infinity });
      this.#denials.delete(key);
      return;
    }
    // What was granted before does not come back in an outage.
    if (answer === "refused" || isHidden) this.#grants.delete(key);
    this.#denials.set(answer === "absent" ? absentKey : key, { answer, at });
  }

  #isWithin(moment: number, duration: number): boolean {
    const age = this.#now() - moment;
    return age >= 0 && age < duration;
  }

  #keyOf(
    repo: RepositoryRef,
    right: "pull" | "list",
    { username, password }: ClientCredentials,
  ): string {
    return this.#options.key.name(username, password, placeKey(repo), right);
  }
}

/** Until the registry is asked again, and no longer than the grant may hold. */
function staleVerdict({ at, triedAt }: Grant, staleFor: number): Verdict {
  return { kind: "granted", until: Math.min(triedAt + RETRY_MS, at + staleFor) };
}
