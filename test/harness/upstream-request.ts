import type { WireRequest } from "./raw-http-server.ts";

/** A request of the kind that a rule decides about. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query, untouched. */
  readonly target: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly kind: "ping" | "manifest" | "blob" | "tags" | "referrers" | "other";
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
  /** How many requests of this method and path came so far, this one included. */
  readonly nth: number;
}

const KINDS: Readonly<Record<string, UpstreamRequest["kind"]>> = {
  manifests: "manifest",
  blobs: "blob",
  tags: "tags",
  referrers: "referrers",
};

export function understand({ method, target, headers }: WireRequest, nth: number): UpstreamRequest {
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
