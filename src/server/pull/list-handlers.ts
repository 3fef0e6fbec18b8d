import type { Cache } from "../../cache/cache.ts";
import { MOST_TAGS } from "../../cache/lookup/tag-lists.ts";
import type { Upstream } from "../../cache/upstream.ts";
import { Fault } from "../../oci/fault.ts";
import { OCI_INDEX } from "../../oci/media-types.ts";
import { type AnswerHeaders, noteHeaders } from "./headers.ts";
import { isServed } from "./policy.ts";
import type { PlacedRoute } from "./route.ts";
import type { Visit } from "./request-context.ts";

/** The most entries of one answer, tags or repositories (CVE-2023-2253). */
const MOST_ENTRIES = MOST_TAGS;

/** `GET /v2/<name>/tags/list` (distribution-spec, "Listing Tags"). */
export async function answerTags(
  cache: Cache,
  { upstream, place }: PlacedRoute,
  visit: Visit,
): Promise<Response> {
  const { n, last } = pageOf(visit.query);
  const { value, note } = await cache.tagLists.page(upstream, place, {
    ...(n === undefined ? {} : { n }),
    ...(last === undefined ? {} : { last }),
  });
  visit.noted(note);
  const headers = noteHeaders(upstream.settings.name, note);
  if (value.more) linkNext(headers, visit, n, value.tags.at(-1));
  return json({ name: place.repository, tags: value.tags }, headers, visit);
}

/** `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"). */
export async function answerReferrers(
  cache: Cache,
  { upstream, place, digest }: PlacedRoute & { kind: "referrers" },
  visit: Visit,
): Promise<Response> {
  const { value, note } = await cache.referrers.list(upstream, place, digest);
  visit.noted(note);
  const headers = noteHeaders(upstream.settings.name, note);
  headers["content-type"] = OCI_INDEX;
  const type = visit.query.get("artifactType");
  if (type !== null) headers["oci-filters-applied"] = "artifactType";
  const manifests = type === null ? value : value.filter((entry) => entry["artifactType"] === type);
  return json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, headers, visit);
}

/** `GET /v2/_catalog`: the repositories of the namespace of which something is cached. */
export async function answerCatalog(
  cache: Cache,
  upstream: Upstream,
  visit: Visit,
): Promise<Response> {
  const { n = MOST_ENTRIES, last } = pageOf(visit.query);
  const { name } = upstream.settings;
  const served = n === 0 ? [] : await servedRepositories(cache, upstream, n + 1, last);
  const repositories = served.slice(0, n);
  const headers = noteHeaders(name, { result: "hit" });
  if (served.length > n) linkNext(headers, visit, n, repositories.at(-1));
  return json({ repositories }, headers, visit);
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
    const some = await cache.index.links.repositories(settings.name, batch, after);
    served.push(...some.filter((repository) => isServed(settings, repository)));
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
  headers: AnswerHeaders,
  visit: Visit,
  n: number | undefined,
  last: string | undefined,
): void {
  if (last === undefined) return;
  const query = new URLSearchParams(visit.query);
  query.set("n", String(n ?? MOST_ENTRIES));
  query.set("last", last);
  headers["link"] = `<${visit.path}?${query.toString()}>; rel="next"`;
}

function json(value: unknown, headers: AnswerHeaders, visit: Visit): Response {
  const body = `${JSON.stringify(value)}\n`;
  const size = Buffer.byteLength(body);
  headers["content-type"] ??= "application/json";
  headers["content-length"] = String(size);
  visit.sends(size);
  return new Response(visit.isHead ? null : body, { headers });
}
