import { z } from "zod";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { TagCursor } from "../../upstream/list-requests.ts";
import { QUIRKS } from "../../upstream/quirks.ts";
import type { CachedList, ListCache } from "./list-cache.ts";
import { TagCollector, tagsAfter } from "./tag-text.ts";
import type { Upstream } from "../upstream.ts";

/** The most tags in one response (CVE-2023-2253). */
export const MAX_TAGS_PER_PAGE = 10_000;
/** The most tags that are stored per repository, and the most characters of them. */
const MAX_TAGS = 200_000;
const MAX_CHARACTERS = 16 * 1024 * 1024;
/** A list in the order of the spec can be served up to here, and continued from here. */
const MAX_PAGES = 200;
/** Any other list can only be served as a whole: enough for MAX_TAGS in pages of 100. */
const MAX_UNSORTED_PAGES = 2000;

export interface TagPageRequest {
  /** Page size from 0 to MAX_TAGS_PER_PAGE; absent for MAX_TAGS_PER_PAGE. */
  readonly n?: number;
  /** Only tags that sort after this one. */
  readonly last?: string;
}

export interface CachedTagPage {
  readonly tags: readonly string[];
  /** Whether tags follow after the last one. */
  readonly more: boolean;
}

/** The tags of a repository, or the first part of them. */
interface TagList {
  /** Sorted, one tag per line. */
  readonly text: string;
  /** Whether the registry has more, all of which sort after these. */
  readonly more: boolean;
}

/** How lists were stored before there was a line for each tag. */
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
    { n = MAX_TAGS_PER_PAGE, last }: TagPageRequest,
  ): Promise<CachedList<CachedTagPage>> {
    const { value, cacheStatus } = await this.#lists.get<TagList>({
      upstream,
      repo,
      key: "tags",
      fetch: () => fetchTags(upstream, repo),
      parse,
      write: ({ text, more }) => `${more ? "more" : "all"}\n${text}`,
      sizeOf: ({ text }) => text.length,
    });
    if (n === 0) return { value: { tags: [], more: false }, cacheStatus };
    let source = value;
    // The stored list is cut off at a limit: what follows is fetched, and not stored.
    if (value.more && last !== undefined && last >= lastOf(value.text)) {
      source = await fetchTags(upstream, repo, last);
    }
    const { tags, more } = tagsAfter(source.text, last, n);
    const hasMore = more || (source.more && tags.length > 0);
    return { value: { tags, more: hasMore }, cacheStatus };
  }
}

function parse(body: string): TagList {
  if (body.startsWith("{")) {
    const { tags, more } = storedSchema.parse(JSON.parse(body));
    return { text: tags.join("\n"), more };
  }
  const end = body.indexOf("\n");
  return { text: body.slice(end + 1), more: body.slice(0, end) === "more" };
}

function lastOf(text: string): string {
  return text.slice(text.lastIndexOf("\n") + 1);
}

/**
 * Fetches the tags from the upstream, all pages of them, or those after `last`. Registries page in
 * orders of their own, so a list that is not sorted is known only with its last page.
 *
 * @throws Fault if a list is not sorted and exceeds a limit: it is never cut off in silence
 */
async function fetchTags(
  upstream: Upstream,
  { repository }: RepositoryRef,
  last?: string,
): Promise<TagList> {
  const { registry, settings } = upstream;
  const fail = (reason: string): Fault => {
    const text = `the tag list of ${repository} ${reason}`;
    return new Fault({
      kind: "upstream-invalid-response",
      upstream: settings.name,
      reason: text,
    });
  };
  const collector = new TagCollector(last);
  const requested = new Set<string>();
  let next: TagCursor | undefined;
  for (let pages = 1; ; pages += 1) {
    const n = QUIRKS.maxTagsPerPage;
    const page = await registry.listTags(repository, { n, last, next });
    await collector.add(page.tags);
    if (last !== undefined && !collector.isAscending) {
      throw fail(`has too many tags, and does not continue after ${last}`);
    }
    const isLong = collector.count > MAX_TAGS || collector.characters > MAX_CHARACTERS;
    const maxPages = collector.isAscending ? MAX_PAGES : MAX_UNSORTED_PAGES;
    next = page.next;
    if (!next || isLong || pages >= maxPages) {
      // The rest of a sorted list is requested by its last tag. Without paging there is no rest.
      if (next && !collector.isAscending) throw fail(`is not sorted, and too long to be cached`);
      if (isLong && !collector.isAscending) throw fail(`is too long to be cached`);
      return { text: await collector.text(), more: next !== undefined };
    }
    if (requested.has(next.url.href)) throw fail("links to a page that was sent before");
    requested.add(next.url.href);
  }
}
