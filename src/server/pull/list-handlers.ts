import type { Cache } from "../../cache/cache.ts";
import { MAX_TAGS } from "../../cache/lookup/tag-lists.ts";
import type { Upstream } from "../../cache/upstream.ts";
import { Fault } from "../../oci/fault.ts";
import { OCI_INDEX } from "../../oci/media-types.ts";
import { type ResponseHeaders, cacheStatusHeaders } from "./headers.ts";
import { isAllowed } from "./policy.ts";
import type { PlacedRoute } from "./route.ts";
import type { RequestContext } from "./request-context.ts";

/** The most entries of one answer, tags or repositories (CVE-2023-2253). */
const MOST_ENTRIES = MAX_TAGS;

/** `GET /v2/<name>/tags/list` (distribution-spec, "Listing Tags"). */
export async function handleTags(
  cache: Cache,
  { upstream, repo }: PlacedRoute,
  context: RequestContext,
): Promise<Response> {
  const { n, last } = pageOf(context.query);
  const { value, cacheStatus } = await cache.tagLists.page(upstream, repo, {
    ...(n === undefined ? {} : { n }),
    ...(last === undefined ? {} : { last }),
  });
  context.noted(cacheStatus);
  const headers = cacheStatusHeaders(upstream.settings.name, cacheStatus);
  if (value.more) linkNext(headers, context, n, value.tags.at(-1));
  return json({ name: repo.repository, tags: value.tags }, headers, context);
}

/** `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"). */
export async function handleReferrers(
  cache: Cache,
  { upstream, repo, digest }: PlacedRoute & { kind: "referrers" },
  context: RequestContext,
): Promise<Response> {
  const { value, cacheStatus } = await cache.referrers.list(upstream, repo, digest);
  context.noted(cacheStatus);
  const headers = cacheStatusHeaders(upstream.settings.name, cacheStatus);
  headers["content-type"] = OCI_INDEX;
  const type = context.query.get("artifactType");
  if (type !== null) headers["oci-filters-applied"] = "artifactType";
  const manifests = type === null ? value : value.filter((entry) => entry["artifactType"] === type);
  return json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, headers, context);
}

/** `GET /v2/_catalog`: the repositories of the namespace of which something is cached. */
export async function handleCatalog(
  cache: Cache,
  upstream: Upstream,
  context: RequestContext,
): Promise<Response> {
  const { n = MOST_ENTRIES, last } = pageOf(context.query);
  const { name } = upstream.settings;
  const served = n === 0 ? [] : await servedRepositories(cache, upstream, n + 1, last);
  const repositories = served.slice(0, n);
  const headers = cacheStatusHeaders(name, { result: "hit" });
  if (served.length > n) linkNext(headers, context, n, repositories.at(-1));
  return json({ repositories }, headers, context);
}

/** What is not served is not named either, in a Link as little as in the list. */
async function servedRepositories(
  cache: Cache,
  { settings }: Upstream,
  limit: number,
  last: string | undefined,
): Promise<string[]> {
  const served: string[] = [];
  let after = last;
  // Where the first ones are not served, many more may not be.
  for (let batch = limit; ; batch = MOST_ENTRIES) {
    const some = await cache.metadata.links.repositories(settings.name, batch, after);
    served.push(...some.filter((repository) => isAllowed(settings, repository)));
    after = some.at(-1);
    if (served.length >= limit || some.length < batch) return served;
  }
}

function pageOf(query: URLSearchParams): { n: number | undefined; last: string | undefined } {
  const last = query.get("last") ?? undefined;
  const text = query.get("n");
  if (text === null) return { n: undefined, last };
  const n = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (n <= MOST_ENTRIES) return { n, last };
  const reason = `is ${JSON.stringify(text.slice(0, 40))}: a whole number from 0 to ${MOST_ENTRIES} is served`;
  throw new Fault({ kind: "invalid-query", parameter: "n", reason });
}

/** Relative to the host (RFC 8288), with everything that was asked for but the position. */
function linkNext(
  headers: ResponseHeaders,
  context: RequestContext,
  n: number | undefined,
  last: string | undefined,
): void {
  if (last === undefined) return;
  const query = new URLSearchParams(context.query);
  query.set("n", String(n ?? MOST_ENTRIES));
  query.set("last", last);
  headers["link"] = `<${context.path}?${query.toString()}>; rel="next"`;
}

function json(value: unknown, headers: ResponseHeaders, context: RequestContext): Response {
  const body = `${JSON.stringify(value)}\n`;
  const size = Buffer.byteLength(body);
  headers["content-type"] ??= "application/json";
  headers["content-length"] = String(size);
  context.sends(size);
  return new Response(context.isHead ? null : body, { headers });
}
