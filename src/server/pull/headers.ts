import type { CacheStatus } from "../../cache/cache-status.ts";
import type { Digest } from "../../oci/digest.ts";

/** Limit of the text in `Warning`, which clients show, in bytes. Containerd's own limit is 4096. */
const MAX_WARNING_TEXT = 512;

/** Response headers before they are sent. A plain object costs a third of what `Headers` does. */
export type ResponseHeaders = Record<string, string>;

/** Tells clients that this is a registry. Every response of the API has it. */
export const API_VERSION = { "docker-distribution-api-version": "registry/2.0" } as const;

export function contentHeaders(
  upstream: string,
  digest: Digest,
  cacheStatus: CacheStatus,
): ResponseHeaders {
  const headers = cacheStatusHeaders(upstream, cacheStatus);
  headers["docker-content-digest"] = digest;
  headers["etag"] = `"${digest}"`;
  return headers;
}

/**
 * The upstream, `Cache-Status` (RFC 9211), and for a stale response, or a tag that is held, `Warning`: in the one form that the
 * distribution-spec allows ("Warnings"), `299 - "…"`, which containerd shows to the person who pulls.
 */
export function cacheStatusHeaders(upstream: string, cacheStatus: CacheStatus): ResponseHeaders {
  const headers: ResponseHeaders = {
    ...API_VERSION,
    "oci-namespace": upstream,
    "cache-status": headerValue(cacheStatus),
  };
  const warning = warningOf(cacheStatus);
  return warning === undefined ? headers : { ...headers, ...warningHeader(warning) };
}

export function warningHeader(text: string): ResponseHeaders {
  return { warning: `299 - "${quotable(text)}"` };
}

/** What a person who pulls has to know. */
function warningOf({
  result,
  reason = "the upstream failed",
  held,
}: CacheStatus): string | undefined {
  const stale = result === "stale" ? `Response is stale: ${reason}` : undefined;
  if (held === undefined) return stale;
  return stale === undefined ? `held: ${held}` : `held: ${held}. ${stale}`;
}

/**
 * The value of `Cache-Status` (RFC 9211 section 2). `hit` means that the request was not forwarded,
 * so a response that the upstream was asked to confirm has `fwd`; a response has one of the two.
 */
function headerValue(cacheStatus: CacheStatus): string {
  const value = ownValue(cacheStatus);
  // There is one detail.
  return cacheStatus.held === undefined
    ? value
    : `${value.replace(/; detail=.*$/, "")}; detail=held`;
}

function ownValue(cacheStatus: CacheStatus): string {
  switch (cacheStatus.result) {
    case "hit":
      return "entrepot; hit";
    case "miss":
      if (cacheStatus.replaced) return "entrepot; fwd=stale; fwd-status=200; stored";
      if (cacheStatus.unstored) return "entrepot; fwd=miss; detail=unstored";
      if (cacheStatus.forwarded) return "entrepot; fwd=miss";
      return `entrepot; fwd=miss${cacheStatus.collapsed ? "; collapsed" : "; stored"}`;
    case "bypass":
      return "entrepot; fwd=bypass";
    case "revalidated":
      return "entrepot; fwd=stale; fwd-status=200; detail=revalidated";
    case "stale": {
      if (!cacheStatus.forwarded) return "entrepot; hit; detail=stale";
      const status = cacheStatus.upstreamStatus;
      return `entrepot; fwd=stale${status === undefined ? "" : `; fwd-status=${status}`}; detail=stale`;
    }
  }
}

/** Text for the inside of a quoted string (RFC 9110 section 5.6.4), in ASCII. */
function quotable(reason: string): string {
  return reason
    .slice(0, MAX_WARNING_TEXT)
    .replaceAll(/[^\u0020-\u007E]/g, "?")
    .replaceAll(/["\\]/g, "'");
}

/** Whether the client already has this digest, by `If-None-Match` (RFC 9110 section 13.1.2). */
export function isNotModified(request: Pick<Request, "headers">, digest: Digest): boolean {
  const condition = request.headers.get("if-none-match");
  if (condition === null) return false;
  return condition.split(",").some((tag) => {
    const bare = tag.trim().replace(/^W\//, "");
    return bare === "*" || bare === `"${digest}"`;
  });
}

export function notModified(headers: ResponseHeaders): Response {
  delete headers["content-length"];
  return new Response(null, { status: 304, headers });
}
