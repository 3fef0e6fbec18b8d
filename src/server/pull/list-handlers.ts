import type { Cache } from "../../cache/cache.ts";
import { MAX_TAGS_PER_PAGE } from "../../cache/lookup/tag-lists.ts";
import type { Upstream } from "../../cache/upstream.ts";
import { Fault } from "../../oci/fault.ts";
import type { RepositoryName } from "../../oci/names.ts";
import { OCI_INDEX } from "../../oci/media-types.ts";
import { cacheStatusHeaders, type ResponseHeaders } from "./headers.ts";
import { isAllowed } from "../../cache/policy.ts";
import type { RequestContext } from "./request-context.ts";
import type { RepositoryRoute } from "./route.ts";

/** Page size limit of tag lists and the catalog (CVE-2023-2253). */
const MAX_ENTRIES = MAX_TAGS_PER_PAGE;

/** `GET /v2/<name>/tags/list` (distribution-spec, "Listing Tags"). */
export async function handleTags(
  cache: Cache,
  { upstream, repo }: RepositoryRoute,
  context: RequestContext,
): Promise<Response> {
  const { n, last } = pageOf(context.query);
  const { value, cacheStatus } = await cache.tagLists.page(upstream, repo, {
    ...(n === undefined ? {} : { n }),
    ...(last === undefined ? {} : { last }),
  });
  context.cacheStatus = cacheStatus;
  const headers = cacheStatusHeaders(upstream.settings.name, cacheStatus);
  if (value.more) linkNext(headers, context, n, value.tags.at(-1));
  const tags = await cache.heldTags.shown(repo, value.tags);
  return json({ name: repo.repository, tags }, headers, context);
}

/** `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"). */
export async function handleReferrers(
  cache: Cache,
  { upstream, repo, digest }: RepositoryRoute & { kind: "referrers" },
  context: RequestContext,
): Promise<Response> {
  const { value, cacheStatus } = await cache.referrers.list(upstream, repo, digest);
  context.cacheStatus = cacheStatus;
  await cache.heldDigests.listed(repo, value.whole);
  const headers = cacheStatusHeaders(upstream.settings.name, cacheStatus);
  headers["content-type"] = OCI_INDEX;
  const type = context.query.get("artifactType");
  if (type !== null) headers["oci-filters-applied"] = "artifactType";
  return send(type === null ? value.whole : value.ofType(type), headers, context);
}

/** `GET /v2/_catalog`: the repositories of an upstream of which something is cached. */
export async function handleCatalog(
  cache: Cache,
  upstream: Upstream,
  context: RequestContext,
  visible: Visible,
): Promise<Response> {
  const { n = MAX_ENTRIES, last } = pageOf(context.query);
  const { name } = upstream.settings;
  const found = n === 0 ? [] : await visibleRepositories(cache, upstream, visible, n + 1, last);
  const repositories = found.slice(0, n);
  const headers = cacheStatusHeaders(name, { result: "hit" });
  if (found.length > n) linkNext(headers, context, n, repositories.at(-1));
  return json({ repositories }, headers, context);
}

/** Those of some repositories whose names the client may know. */
type Visible = (repositories: readonly RepositoryName[]) => Promise<readonly RepositoryName[]>;

/** At most `limit` repositories after `last`, without those that the configuration or their registry hides. */
async function visibleRepositories(
  cache: Cache,
  { settings }: Upstream,
  visible: Visible,
  limit: number,
  last: string | undefined,
): Promise<string[]> {
  const found: string[] = [];
  let after = last;
  // If some are hidden, many more may be: the second batch is as large as possible.
  for (let size = limit; ; size = MAX_ENTRIES) {
    const batch = await cache.metadata.links.repositories(settings.name, size, after);
    found.push(...(await visible(batch.filter((one) => isAllowed(settings, one)))));
    after = batch.at(-1);
    if (found.length >= limit || batch.length < size) return found;
  }
}

function pageOf(query: URLSearchParams): { n: number | undefined; last: string | undefined } {
  const last = query.get("last") ?? undefined;
  const text = query.get("n");
  if (text === null) return { n: undefined, last };
  // A server may send fewer than requested, with a Link to the rest (distribution-spec).
  if (/^\d+$/.test(text)) return { n: Math.min(Number(text), MAX_ENTRIES), last };
  const reason = `is ${JSON.stringify(text.slice(0, 40))}: write a whole number`;
  throw new Fault({ kind: "invalid-query", parameter: "n", reason });
}

/** Adds the next page as a `Link` (RFC 8288), relative to the host: this request with another `last`. */
function linkNext(
  headers: ResponseHeaders,
  context: RequestContext,
  n: number | undefined,
  last: string | undefined,
): void {
  if (last === undefined) return;
  const query = new URLSearchParams(context.query);
  query.set("n", String(n ?? MAX_ENTRIES));
  query.set("last", last);
  headers["link"] = `<${context.path}?${query.toString()}>; rel="next"`;
}

function json(value: unknown, headers: ResponseHeaders, context: RequestContext): Response {
  headers["content-type"] = "application/json";
  return send(new Blob([`${JSON.stringify(value)}\n`]), headers, context);
}

function send(body: Blob, headers: ResponseHeaders, context: RequestContext): Response {
  headers["content-length"] = String(body.size);
  context.setBodySize(body.size);
  return new Response(context.isHead ? null : body, { headers });
}
