import type { Digest } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import { eachElement } from "../oci/json-elements.ts";
import { nextLink } from "../oci/link-header.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { parseTag, type RepositoryName, type Tag } from "../oci/names.ts";
import type { HostRequest, HostResponse, Failover, ResponseHandler } from "./failover.ts";
import { QUIRKS } from "./quirks.ts";
import { isObject } from "../oci/json-object.ts";

/** For one page: registries without paging send all tags at once (registry:2 up to 2.8). */
const MAX_TAGS_BYTES = 16 * 1024 * 1024;
/** For all pages together. */
const MAX_REFERRERS_BYTES = 8 * 1024 * 1024;
const MAX_REFERRERS_PAGES = 20;

export interface TagPage {
  /** In the registry's order, without those that are invalid by the spec's grammar. */
  readonly tags: readonly Tag[];
  /** Whether the registry has more after the last one. */
  readonly more: boolean;
  /** Where it has more; absent at the end. */
  readonly next?: TagCursor;
}

/**
 * Where a list continues, by the registry's own Link: some page in the order of pushing, with cursors
 * that mean nothing to others.
 */
export type TagCursor = NonNullable<HostRequest["page"]>;

export interface TagPageQuery {
  readonly n: number;
  readonly last?: string | undefined;
  /** The `next` of the page before. Then `n` and `last` are ignored. */
  readonly next?: TagCursor | undefined;
}

/** distribution-spec v1.1.1, "Listing Tags". */
export async function listTags(
  failover: Failover,
  repository: RepositoryName,
  page: TagPageQuery,
  signal: AbortSignal | undefined,
): Promise<TagPage> {
  const n = String(Math.min(Math.max(page.n, 1), QUIRKS.maxTagsPerPage));
  return failover.send(
    { resource: "repository", name: repository },
    {
      kind: "tags",
      permit: "list",
      method: "GET",
      path: "tags/list",
      query: { n, ...(page.last === undefined ? {} : { last: page.last }) },
      ...(page.next ? { page: page.next } : {}),
      repository,
      headers: { accept: "application/json" },
      signal,
    },
    async (response) => {
      const bytes = await failover.read(response, "a tag list", MAX_TAGS_BYTES);
      const tags: Tag[] = [];
      const kind = await elementsOf(bytes, "tags", (names) => {
        for (const name of names) {
          const tag = typeof name === "string" ? parseTag(name) : undefined;
          if (tag) tags.push(tag);
        }
      });
      // A list without tags names its repository. An error in place of the list does not.
      const isEmptyList =
        kind === "missing" && (await elementsOf(bytes, "name", () => {})) !== "missing";
      if (kind !== "array" && kind !== "null" && !isEmptyList) {
        throw failover.invalidResponse(`the tag list of ${repository} has no array of tags`);
      }
      const link = nextLink(response.headers.get("link"));
      const url = link === undefined ? undefined : nextTags(link, response.url, tags, Number(n));
      if (!url) return { tags, more: false };
      return { tags, more: true, next: { host: response.host, url } };
    },
  );
}

/**
 * The URL of the next page: the one before, with the query of the Link. Proxies in front of registries
 * change scheme, host and path, and leave Links as they are. A Link without a query names no position:
 * a full page is then continued after its last tag, and any other is the last one (`undefined`).
 */
function nextTags(link: string, from: URL, tags: readonly Tag[], n: number): URL | undefined {
  const next = new URL(from);
  next.search = URL.parse(link, from.href)?.search ?? "";
  if (next.search !== "") return next;
  const last = tags.at(-1);
  if (last === undefined || tags.length < n) return undefined;
  next.search = new URLSearchParams({ n: String(n), last }).toString();
  return next;
}

/**
 * As `eachElement`; `broken` for what begins as a JSON object and does not end as one in UTF-8, and
 * `no object` for anything else.
 */
async function elementsOf(
  bytes: Uint8Array,
  key: string,
  take: (elements: readonly unknown[]) => void,
): Promise<Awaited<ReturnType<typeof eachElement>> | "broken" | "no object"> {
  try {
    return await eachElement(new TextDecoder("utf-8", { fatal: true }).decode(bytes), key, take);
  } catch {
    const start = new TextDecoder().decode(bytes.subarray(0, 64));
    return /^\s*\{/.test(start) ? "broken" : "no object";
  }
}

/** distribution-spec v1.1.1, "Listing Referrers". `undefined` if the registry lacks the API. */
export async function listReferrers(
  failover: Failover,
  repository: RepositoryName,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Record<string, unknown>[] | undefined> {
  const descriptors: Record<string, unknown>[] = [];
  const path = `referrers/${digest}`;
  let next: HostRequest["page"];
  let bytesLeft = MAX_REFERRERS_BYTES;
  for (let page = 1; ; page += 1) {
    const target = { path, ...(next ? { page: next } : {}) };
    const found = await sendPageRequest(failover, repository, target, signal, async (response) => {
      const bytes = await failover.read(response, "a list of referrers", bytesLeft);
      const manifests: Record<string, unknown>[] = [];
      const kind = await elementsOf(bytes, "manifests", (batch) => {
        for (const entry of batch) if (isObject(entry)) manifests.push(entry);
      });
      if (kind === "broken") {
        throw failover.invalidResponse(`the referrers of ${digest} are not valid JSON`);
      }
      // Some answer what they do not know with 200 and an object of their own. The next host may know.
      if (kind !== "array" && kind !== "null") throw lacksReferrers(response, repository);
      const link = nextLink(response.headers.get("link"));
      const url = link === undefined ? undefined : sameOrigin(failover, link, response.url);
      return { manifests, bytes: bytes.byteLength, host: response.host, nextUrl: url };
    });
    if (!found && page === 1) return undefined;
    if (!found) {
      throw failover.invalidResponse(`page ${page} of the referrers of ${digest} is missing`);
    }
    bytesLeft -= found.bytes;
    for (const entry of found.manifests) descriptors.push(entry);
    if (!found.nextUrl) return descriptors;
    if (page === MAX_REFERRERS_PAGES) {
      throw failover.invalidResponse(
        `more than ${MAX_REFERRERS_PAGES} pages of referrers of ${digest}`,
      );
    }
    next = { host: found.host, url: found.nextUrl };
  }
}

/** As from a registry that answers 404. */
function lacksReferrers({ host }: HostResponse, repository: RepositoryName): Fault {
  const upstream = host.settings.name;
  return new Fault({ kind: "not-found", what: "repository", upstream, name: repository });
}

/** `undefined` from a registry without the API. */
async function sendPageRequest<Value>(
  failover: Failover,
  repository: RepositoryName,
  target: Pick<HostRequest, "path" | "page">,
  signal: AbortSignal | undefined,
  handle: ResponseHandler<Value>,
): Promise<Value | undefined> {
  const subject = { resource: "repository", name: repository } as const;
  const request = {
    kind: "referrers",
    permit: "list",
    method: "GET",
    ...target,
    repository,
    headers: { accept: OCI_INDEX },
    absent: QUIRKS.noReferrersStatuses,
    signal,
  } as const;
  try {
    return await failover.send(subject, request, handle);
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "not-found") return undefined;
    throw error;
  }
}

/** A Link is followed only to the origin that sent it: the request carries a token for that origin. */
function sameOrigin(failover: Failover, link: string, from: URL): URL {
  const next = URL.parse(link, from.href);
  if (next?.origin === from.origin) return next;
  throw failover.invalidResponse("the next page of the referrers is at another host");
}
