import { z } from "zod";
import { parseTag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { QUIRKS } from "../../upstream/quirks.ts";
import type { CachedList, ListCache } from "./list-cache.ts";
import type { Upstream } from "../upstream.ts";

/** The most tags in one response, and the most that are stored per repository (CVE-2023-2253). */
export const MAX_TAGS = 10_000;
/** Enough for MAX_TAGS at registries that send pages of 50, whatever page size is requested. */
const MAX_PAGES = 200;

export interface TagPageRequest {
  /** Page size from 0 to MAX_TAGS; absent for MAX_TAGS. */
  readonly n?: number;
  /** Only tags that sort after this one. */
  readonly last?: string;
}

export interface CachedTagPage {
  readonly tags: readonly string[];
  /** Whether tags follow after the last one. */
  readonly more: boolean;
}

const storedSchema = z.object({ tags: z.array(z.string()), more: z.boolean() });

/** Lists the tags of a repository: sorted, in pages (distribution-spec, "Listing Tags"). */
export class TagLists {
  readonly #lists: ListCache;

  constructor(lists: ListCache) {
    this.#lists = lists;
  }

  /** @throws Fault */
  async page(
    upstream: Upstream,
    repo: RepositoryRef,
    { n = MAX_TAGS, last }: TagPageRequest,
  ): Promise<CachedList<CachedTagPage>> {
    const list = await this.#lists.get<CachedTagPage>({
      upstream,
      repo,
      key: "tags",
      fetch: () => listFrom(upstream, repo),
      parse: (body) => storedSchema.parse(JSON.parse(body)),
    });
    const { tags, more } = list.value;
    // The stored list is cut off at MAX_TAGS: what follows is fetched, and not stored.
    const isBeyond = more && last !== undefined && last >= (tags.at(-1) ?? "");
    const source = isBeyond ? await listFrom(upstream, repo, last) : list.value;
    const from = last === undefined ? 0 : source.tags.findIndex((tag) => tag > last);
    const rest = from < 0 ? [] : source.tags.slice(from);
    const page = rest.slice(0, n);
    const hasMore = n > 0 && (rest.length > n || (source.more && page.length > 0));
    return { value: { tags: page, more: hasMore }, cacheStatus: list.cacheStatus };
  }
}

/** Fetches the tags after `last` from the upstream, at most MAX_TAGS of them. */
async function listFrom(
  upstream: Upstream,
  repo: RepositoryRef,
  last?: string,
): Promise<CachedTagPage> {
  const tags = new Set<string>();
  let cursor = last;
  let more = true;
  for (let pages = 0; more && tags.size < MAX_TAGS && pages < MAX_PAGES; pages += 1) {
    const page = await upstream.registry.listTags(repo.repository, {
      n: QUIRKS.maxTagsPerPage,
      ...(cursor === undefined ? {} : { last: cursor }),
    });
    const sizeBefore = tags.size;
    for (const tag of page.tags) {
      if (parseTag(tag)) tags.add(tag);
    }
    cursor = page.tags.at(-1);
    // Stop if a page brings nothing new: a registry may send the same page again and again.
    more = page.more && tags.size > sizeBefore;
  }
  return { tags: [...tags].sort().slice(0, MAX_TAGS), more: more || tags.size > MAX_TAGS };
}
