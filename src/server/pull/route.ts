import type { Upstream } from "../../cache/upstream.ts";
import { DOCKER_HUB } from "../../config/settings.ts";
import { isAllowed } from "../../cache/policy.ts";
import { type Digest, looksLikeDigest, parseDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseRepositoryName, parseTag, type Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Namespaces } from "./namespaces.ts";

/** A request to the pull API, parsed: all names, tags and digests in it are valid. */
export type Route =
  | { readonly kind: "base" }
  | { readonly kind: "token" }
  | { readonly kind: "catalog"; readonly upstream: Upstream }
  | RepositoryRoute;

/** What a request asks of a repository, in plain values. */
export type RepositoryTarget = { readonly repo: RepositoryRef } & (
  | { readonly kind: "manifest"; readonly reference: Tag | Digest }
  | { readonly kind: "blob"; readonly digest: Digest }
  | { readonly kind: "referrers"; readonly digest: Digest }
  | { readonly kind: "tags" }
);

export type RepositoryRoute = { readonly upstream: Upstream } & RepositoryTarget;

/** What is recorded of a route. */
export type RecordedRoute = Exclude<Route, RepositoryRoute> | RepositoryTarget;

export interface RequestTarget {
  /** The path's components after `/v2/`, percent-decoded. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  /** The upstream of the port at which the request arrived, if that port belongs to one. */
  readonly port: Upstream | undefined;
}

/** @throws Fault if the path is not valid, the repository is not allowed or the upstream is unknown */
export function parseRoute(
  { segments, query, port }: RequestTarget,
  namespaces: Namespaces,
): Route {
  for (const segment of segments) checkSegment(segment);
  if (segments.length === 0) return { kind: "base" };
  if (segments.length === 1 && segments[0] === "token") return { kind: "token" };
  if (segments.length <= 2 && segments.at(-1) === "_catalog") {
    const { upstream, path } = namespaces.choose(query.getAll("ns"), port, segments.slice(0, -1));
    if (path.length > 0) throw new Fault({ kind: "no-such-route" });
    return { kind: "catalog", upstream };
  }
  const [action, subject = ""] = segments.slice(-2);
  const name = segments.slice(0, -2);
  const kind = kindOf(action, subject);
  if (!kind || name.length === 0) throw new Fault({ kind: "no-such-route" });
  const { upstream, path } = namespaces.choose(query.getAll("ns"), port, name);
  const target = { upstream, repo: repositoryAt(upstream, path, name) };
  switch (kind) {
    case "tags":
      return { kind, ...target };
    case "manifest":
      return { kind, ...target, reference: parseReference(subject) };
    default:
      return { kind, ...target, digest: checkedDigest(subject) };
  }
}

function kindOf(action: string | undefined, subject: string): RepositoryRoute["kind"] | undefined {
  switch (action) {
    case "manifests":
      return "manifest";
    case "blobs":
      return "blob";
    case "referrers":
      return "referrers";
    case "tags":
      return subject === "list" ? "tags" : undefined;
    default:
      return undefined;
  }
}

/** Refuses path traversal: no repository name contains an encoded separator, `.` or `..`. */
function checkSegment(segment: string): void {
  if (segment === "" || segment === "." || segment === "..") {
    throw new Fault({ kind: "invalid-path", reason: "it has an empty, '.' or '..' component" });
  }
  // oxlint-disable-next-line no-control-regex -- control characters are refused
  if (/[/\\\u0000-\u001F\u007F]/.test(segment)) {
    throw new Fault({
      kind: "invalid-path",
      reason: "it has an encoded separator or control character",
    });
  }
}

function repositoryAt(
  upstream: Upstream,
  path: readonly string[],
  requested: readonly string[],
): RepositoryRef {
  const name = path.join("/");
  if (name === "") {
    const reason = "a repository name must follow the registry name";
    throw new Fault({ kind: "invalid-name", name: requested.join("/"), reason });
  }
  // Official images of Docker Hub are in library/, which people and some clients omit.
  const isOfficial = upstream.settings.name === DOCKER_HUB && path.length === 1;
  const repository = parseRepositoryName(isOfficial ? `library/${name}` : name);
  if (!repository) throw new Fault({ kind: "invalid-name", name });
  // The only check needed: every request for a repository, by tag or by digest, is parsed here.
  if (!isAllowed(upstream.settings, repository)) {
    throw new Fault({ kind: "not-allowed", upstream: upstream.settings.name, name: repository });
  }
  return { upstream: upstream.settings.name, repository };
}

function parseReference(text: string): Tag | Digest {
  if (looksLikeDigest(text)) return checkedDigest(text);
  const tag = parseTag(text);
  if (tag) return tag;
  throw new Fault({ kind: "invalid-tag", tag: text });
}

function checkedDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest) return digest;
  throw new Fault({ kind: "invalid-digest", digest: text });
}
