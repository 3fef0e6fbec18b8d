import type { Digest } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import { nextLink } from "../oci/link-header.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { parseTag, type RepositoryName, type Tag } from "../oci/names.ts";
import type { HostRequest, Failover, ResponseHandler } from "./failover.ts";
import { QUIRKS } from "./quirks.ts";
import { isObject, parseObject } from "./transport/json.ts";

const MAX_TAGS_BYTES = 4 * 1024 * 1024;
/** Of all pages together. */
const MAX_REFERRERS_BYTES = 8 * 1024 * 1024;
const MAX_REFERRERS_PAGES = 20;

export interface TagPage {
  /** In the registry's order; what is no tag by the specification's grammar is left out. */
  readonly tags: readonly Tag[];
  /** Whether the registry has more after the last one. */
  readonly more: boolean;
}

/** distribution-spec v1.1.1, "Listing Tags". */
export async function listTags(
  failover: Failover,
  repository: RepositoryName,
  page: { readonly n: number; readonly last?: string | undefined },
  signal: AbortSignal | undefined,
): Promise<TagPage> {
  const n = String(Math.min(Math.max(page.n, 1), QUIRKS.maxTagsPerPage));
  return failover.send(
    { what: "repository", name: repository },
    {
      request: "tags",
      slot: "metadata",
      method: "GET",
      path: "tags/list",
      query: { n, ...(page.last === undefined ? {} : { last: page.last }) },
      repository,
      headers: { accept: "application/json" },
      signal,
    },
    async (answer) => {
      const body = parseObject(await failover.read(answer, "a list of tags", MAX_TAGS_BYTES));
      const names = body?.["tags"] ?? [];
      if (!body || !Array.isArray(names)) {
        throw failover.invalidResponse(`what should be the tags of ${repository} is no list`);
      }
      const tags = names.flatMap(
        (name: unknown) => (typeof name === "string" && parseTag(name)) || [],
      );
      return { tags, more: nextLink(answer.headers.get("link")) !== undefined };
    },
  );
}

/** distribution-spec v1.1.1, "Listing Referrers". `undefined` where the registry lacks the API. */
export async function listReferrers(
  failover: Failover,
  repository: RepositoryName,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Record<string, unknown>[] | undefined> {
  const descriptors: Record<string, unknown>[] = [];
  const path = `referrers/${digest}`;
  let next: HostRequest["page"];
  let left = MAX_REFERRERS_BYTES;
  for (let page = 1; ; page += 1) {
    const at = { path, ...(next ? { page: next } : {}) };
    const found = await askPage(failover, repository, at, signal, async (answer) => {
      const bytes = await failover.read(answer, "a list of referrers", left);
      const manifests = parseObject(bytes)?.["manifests"];
      if (!Array.isArray(manifests)) {
        throw failover.invalidResponse(`what should be the referrers of ${digest} is no index`);
      }
      const link = nextLink(answer.headers.get("link"));
      const more = link === undefined ? undefined : samePlace(failover, link, answer.url);
      return { manifests, bytes: bytes.byteLength, host: answer.host, more };
    });
    if (!found && page === 1) return undefined;
    if (!found)
      throw failover.invalidResponse(`page ${page} of the referrers of ${digest} is missing`);
    left -= found.bytes;
    descriptors.push(...found.manifests.filter(isObject));
    if (!found.more) return descriptors;
    if (page === MAX_REFERRERS_PAGES) {
      throw failover.invalidResponse(`over ${MAX_REFERRERS_PAGES} pages of referrers of ${digest}`);
    }
    next = { host: found.host, url: found.more };
  }
}

async function askPage<Value>(
  failover: Failover,
  repository: RepositoryName,
  at: Pick<HostRequest, "path" | "page">,
  signal: AbortSignal | undefined,
  use: ResponseHandler<Value>,
): Promise<Value | undefined> {
  const asked = { what: "repository", name: repository } as const;
  const question = {
    request: "referrers",
    slot: "metadata",
    method: "GET",
    ...at,
    repository,
    headers: { accept: OCI_INDEX },
    signal,
  } as const;
  try {
    return await failover.send(asked, question, use);
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "not-found") return undefined;
    throw error;
  }
}

/** A Link is followed at the registry that sent it only: elsewhere its token would be somebody else's. */
function samePlace(failover: Failover, link: string, from: URL): URL {
  const next = URL.parse(link, from.href);
  if (next?.origin === from.origin) return next;
  throw failover.invalidResponse("the next page of its referrers is at another host");
}
