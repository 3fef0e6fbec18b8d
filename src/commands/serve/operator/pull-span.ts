import type { RequestRecord } from "../../../server/pull/request-record.ts";
import { cutForLog } from "../../../telemetry/request-lines.ts";
import type { Span } from "../../../telemetry/tracing/span.ts";

/** What is asked for, without what differs between images: names of spans have few values. */
const ROUTES: Readonly<Record<NonNullable<RequestRecord["route"]>["kind"], string>> = {
  base: "/v2/",
  token: "/v2/token",
  manifest: "/v2/<name>/manifests/<reference>",
  blob: "/v2/<name>/blobs/<digest>",
  tags: "/v2/<name>/tags/list",
  referrers: "/v2/<name>/referrers/<digest>",
  catalog: "/v2/_catalog",
};

/** Ends the span of a pull with what became of it, by the semantic conventions for HTTP servers. */
export function endPullSpan(span: Span, record: RequestRecord): void {
  const { route, method, status, result } = record;
  const target = route && ROUTES[route.kind];
  if (target !== undefined) span.name = `${method} ${target}`;
  span.set({
    "http.request.method": method,
    "http.route": target,
    "url.path": cutForLog(record.path),
    "http.response.status_code": status,
    "http.response.body.size": record.bytes,
    "client.address": record.address,
    "user_agent.original": cutForLog(record.userAgent),
    "entrepot.cache.result": result,
    "entrepot.cache.reason": record.reason,
    ...(route && "repo" in route
      ? {
          "entrepot.upstream": route.repo.upstream,
          "entrepot.repository": route.repo.repository,
        }
      : {}),
  });
  // 4xx is the client's matter, 5xx an error of this server.
  if (status >= 500 || record.defect !== undefined) span.fail(record.error ?? String(status));
  span.end();
}
