import type { RawRequest } from "./raw-http-server.ts";

/** A parsed request, from which a rule chooses the fault. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query, exactly as received. */
  readonly target: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly kind: "ping" | "manifest" | "blob" | "tags" | "referrers" | "other";
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  /** The number of requests with this method and path so far, including this one. */
  readonly nth: number;
}

const KINDS: Readonly<Record<string, UpstreamRequest["kind"]>> = {
  manifests: "manifest",
  blobs: "blob",
  tags: "tags",
  referrers: "referrers",
};

export function parseUpstreamRequest(
  { method, target, headers }: RawRequest,
  nth: number,
): UpstreamRequest {
  const [path = "", search = ""] = target.split("?", 2);
  const match = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(path);
  const [, repository = "", folder = "", reference = ""] = match ?? [];
  return {
    method,
    target,
    path,
    query: new URLSearchParams(search),
    headers,
    kind: path === "/v2/" || path === "/v2" ? "ping" : (KINDS[folder] ?? "other"),
    repository,
    reference,
    nth,
  };
}
