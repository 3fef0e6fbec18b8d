import { z } from "zod";
import { parseTag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { QUIRKS } from "../../upstream/quirks.ts";
import type { CachedList, ListCache } from "./list-cache.ts";
import type { Upstream } from "../upstream.ts";

/** The most tags that one answer holds, and that are kept of a repository (CVE-2023-2253). */
export const MOST_TAGS = 10_000;
/** Enough for MOST_TAGS at registries that give 50 at a time, whatever they are asked for. */
const MOST_PAGES = 200;

export interface TagPageRequest {
  /** From 0 to MOST_TAGS; absent for as many as there are, up to that. */
  readonly n?: number;
  /** Only tags after this one. */
  readonly last?: string;
}

export interface CachedTagPage {
  readonly tags: readonly string[];
  readonly more: boolean;
}

const known = z.object({ tags: z.array(z.string()), more: z.boolean() });

/** A repository's tags as its upstream lists them, sorted, page by page. */
export class TagLists {
  readonly #listings: ListCache;

  constructor(listings: ListCache) {
    this.#listings = listings;
  }

  /** @throws Fault */
  async page(
    upstream: Upstream,
    repo: RepositoryRef,
    { n = MOST_TAGS, last }: TagPageRequest,
  ): Promise<CachedList<CachedTagPage>> {
    const listed = await this.#listings.get<CachedTagPage>({
      upstream,
      repo,
      key: "tags",
      fetch: () => listFrom(upstream, repo),
      parse: (body) => known.parse(JSON.parse(body)),
    });
    const { tags, more } = listed.value;
    const isBeyond = more && last !== undefined && last >= (tags.at(-1) ?? "");
    const source = isBeyond ? await listFrom(upstream, repo, last) : listed.value;
    const from = last === undefined ? 0 : source.tags.findIndex((tag) => tag > last);
    const rest = from < 0 ? [] : source.tags.slice(from);
    const page = rest.slice(0, n);
    const isCut = n > 0 && (rest.length > n || (source.more && page.length > 0));
    return { value: { tags: page, more: isCut }, cacheStatus: listed.cacheStatus };
  }
}

async function listFrom(
  upstream: Upstream,
  repo: RepositoryRef,
  last?: string,
): Promise<CachedTagPage> {
  const tags = new Set<string>();
  let cursor = last;
  let more = true;
  for (let pages = 0; more && tags.size < MOST_TAGS && pages < MOST_PAGES; pages += 1) {
    const page = await upstream.registry.listTags(repo.repository, {
      n: QUIRKS.maxTagsPerPage,
      ...(cursor === undefined ? {} : { last: cursor }),
    });
    const before = tags.size;
    for (const tag of page.tags) {
      if (parseTag(tag)) tags.add(tag);
    }
    cursor = page.tags.at(-1);
    // A registry that sends the same page for ever must not keep us here.
    more = page.more && tags.size > before;
  }
  return { tags: [...tags].sort().slice(0, MOST_TAGS), more: more || tags.size > MOST_TAGS };
}
