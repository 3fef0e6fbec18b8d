import type { DrilledRequest } from "../../../drill/drill-counts.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";

/** What a request means to a drill; `undefined` if it is about no repository, or was not valid. */
export function drilledRequest({
  route,
  status,
  result,
  error,
}: RequestRecord): DrilledRequest | undefined {
  if (!route || !("repo" in route)) return undefined;
  const { upstream, repository } = route.repo;
  const isRefused = status >= 400 && status < 500;
  if (isRefused) return undefined;
  // A body may break off after its headers.
  const outcome =
    error !== undefined || status >= 500 ? "failed" : result === "stale" ? result : "served";
  return {
    upstream,
    image: `${upstream}/${repository}${referenceOf(route)}`,
    outcome,
    ...(outcome === "failed" && error !== undefined ? { error } : {}),
  };
}

function referenceOf(route: Extract<RequestRecord["route"], { readonly repo: object }>): string {
  switch (route.kind) {
    case "manifest":
      return route.reference.includes(":") ? `@${route.reference}` : `:${route.reference}`;
    case "blob":
    case "referrers":
      return `@${route.digest}`;
    default:
      return "";
  }
}
