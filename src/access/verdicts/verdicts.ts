import { LRUCache } from "lru-cache";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ClientCredentials } from "../../upstream/auth/client-keyring.ts";
import type { ProcessKey } from "../process-key.ts";
import { type AskedPlace, placeKey } from "./asked-place.ts";
import { type Answer, type AskedResource, askRegistry, resourceKey } from "./registry-question.ts";
import { SharedQuestions } from "./shared-question.ts";

/** How many verdicts are kept: about 4 MB. */
const MAX_ENTRIES = 16_384;
/** How long a refusal is believed, and that something is absent, in milliseconds. */
const REFUSAL_MS = 30_000;
const ABSENCE_MS = 5000;
/** How long a registry may take before a verdict that has just ended still holds, in milliseconds. */
const PATIENCE_MS = 5000;
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

interface Entry {
  readonly answer: Answer;
  /** When the registry answered, and when it was last asked in vain, in milliseconds of the epoch. */
  readonly at: number;
  readonly triedAt: number;
}

export interface VerdictsOptions {
  readonly key: ProcessKey;
  /** A registry has shown something of a repository. */
  readonly onShown: (repo: RepositoryRef) => Promise<void>;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * What registries said of the credentials of clients, by credentials and repository. Neither the
 * credentials nor anything from which they could be guessed is kept: a verdict has the name that a key of
 * this process gives them.
 */
export class Verdicts {
  readonly #options: VerdictsOptions;
  readonly #now: () => number;
  readonly #entries = new LRUCache<string, Entry>({ max: MAX_ENTRIES });
  readonly #questions = new SharedQuestions();
  #generation = 0;

  constructor(options: VerdictsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** How many are kept. */
  get size(): number {
    return this.#entries.size;
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
    const known = this.#entries.get(key);
    const absent = this.#entries.get(absentKey);
    if (known?.answer === "shown" && this.#isWithin(known.at, access.ttl)) {
      return { kind: "granted", until: known.at + access.ttl };
    }
    if (known?.answer === "refused" && this.#isWithin(known.at, REFUSAL_MS)) {
      return { kind: "refused" };
    }
    if (absent && this.#isWithin(absent.at, ABSENCE_MS)) return { kind: "absent" };
    const isStale = known?.answer === "shown" && this.#isWithin(known.at, access.staleFor);
    const stale = isStale ? known : undefined;
    if (stale && this.#isWithin(stale.triedAt, RETRY_MS))
      return staleVerdict(stale, access.staleFor);
    let isNew = false;
    const asking = this.#questions.ask(key, resource, () => {
      isNew = true;
      return this.#ask(place, resource, credentials, { key, absentKey });
    });
    const answer = stale ? await this.#patiently(asking, key, stale) : await asking;
    if (answer === undefined && stale) {
      return staleVerdict({ ...stale, triedAt: this.#now() }, access.staleFor);
    }
    if (answer === "shown") return { kind: "granted", until: this.#now() + access.ttl };
    return answer === "absent" ? { kind: "absent" } : { kind: "refused", isNew };
  }

  /** The registry has just refused what it had granted. */
  revoke(repo: RepositoryRef, credentials: ClientCredentials): void {
    this.#entries.delete(this.#keyOf(repo, "pull", credentials));
    this.#entries.delete(this.#keyOf(repo, "list", credentials));
  }

  /** Whether a client was granted a repository, as far as is known without asking. */
  isGranted(
    { repo, access }: Omit<AskedPlace, "upstream">,
    credentials: ClientCredentials,
  ): boolean {
    const known = this.#entries.get(this.#keyOf(repo, "pull", credentials));
    return known?.answer === "shown" && this.#isWithin(known.at, access.ttl);
  }

  /** Whether the registry has to be asked about a client, for lack of anything that it said. */
  isUnknown(
    { repo }: Pick<AskedPlace, "repo">,
    resource: AskedResource,
    credentials: ClientCredentials,
  ): boolean {
    const key = this.#keyOf(repo, resource.kind === "tags" ? "list" : "pull", credentials);
    return !this.#entries.has(key);
  }

  /** Forgets all: the rules have changed. Answers that are under way are not believed. */
  clear(): void {
    this.#generation += 1;
    this.#entries.clear();
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
    const answer = await askRegistry(registry, repo.repository, resource);
    if (generation === this.#generation) {
      const entry = { answer, at: this.#now(), triedAt: -Infinity };
      this.#entries.set(answer === "absent" ? keys.absentKey : keys.key, entry);
    }
    if (answer === "shown") await this.#options.onShown(repo);
    return answer;
  }

  /** The answer; `undefined` if the registry fails or is slow, so that what it granted before still holds. */
  async #patiently(
    asking: Promise<Answer>,
    key: string,
    stale: Entry,
  ): Promise<Answer | undefined> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), PATIENCE_MS);
    try {
      const answer = await Promise.race([asking, late.promise]);
      if (answer !== undefined) return answer;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    } finally {
      clearTimeout(timer);
    }
    asking.catch(() => {});
    if (this.#entries.peek(key) === stale) {
      this.#entries.set(key, { ...stale, triedAt: this.#now() });
    }
    return undefined;
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
function staleVerdict({ at, triedAt }: Entry, staleFor: number): Verdict {
  return { kind: "granted", until: Math.min(triedAt + RETRY_MS, at + staleFor) };
}
