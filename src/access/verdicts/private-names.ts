import { type AccessSettings, accessMode, hasMode } from "../../config/access/access-settings.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Visibility } from "../../store/visibility.ts";
import { NAME_MS } from "./public-repositories.ts";

export interface PrivateNamesOptions {
  /** Of all upstreams that are configured now. */
  readonly upstreams: () => Iterable<readonly [UpstreamName, AccessSettings | undefined]>;
  readonly visibility: Pick<Visibility, "publicAmong">;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * Which repositories are private, so that their names are for those alone who may pull them: all but those that
 * are open, and those that their registry has shown to anybody. Of what exists and what does not, it says the
 * same.
 */
export class PrivateNames {
  readonly #options: PrivateNamesOptions;
  readonly #now: () => number;

  constructor(options: PrivateNamesOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Whether any repository may be private. */
  get areThere(): boolean {
    return [...this.#options.upstreams()].some(([, access]) =>
      hasMode(access, "upstream", "clients", "denied"),
    );
  }

  /** Tells of each of these repositories whether it is private. Nobody is asked. */
  async among(repositories: Iterable<RepositoryRef>): Promise<(repo: RepositoryRef) => boolean> {
    if (!this.areThere) return () => false;
    const byUpstream = Map.groupBy(repositories, ({ upstream }) => upstream);
    const access = new Map(this.#options.upstreams());
    const named = new Set<string>();
    for (const [upstream, repos] of byUpstream) {
      // Nobody may pull from one that is not configured any more.
      if (!access.has(upstream)) continue;
      const settings = access.get(upstream);
      const asked: RepositoryName[] = [];
      for (const { repository } of repos) {
        const mode = accessMode(settings, repository);
        if (mode === "open") named.add(`${upstream}/${repository}`);
        if (mode === "upstream") asked.push(repository);
      }
      for (const repository of await this.#publicAmong(upstream, asked)) {
        named.add(`${upstream}/${repository}`);
      }
    }
    return ({ upstream, repository }) => !named.has(`${upstream}/${repository}`);
  }

  /** In parts, for a query has only so many variables. */
  async #publicAmong(
    upstream: UpstreamName,
    repositories: readonly RepositoryName[],
  ): Promise<RepositoryName[]> {
    const all = [...new Set(repositories)];
    const found: RepositoryName[] = [];
    const since = this.#now() - NAME_MS;
    for (let first = 0; first < all.length; first += 500) {
      const some = all.slice(first, first + 500);
      found.push(...(await this.#options.visibility.publicAmong(upstream, some, since)));
    }
    return found;
  }
}
