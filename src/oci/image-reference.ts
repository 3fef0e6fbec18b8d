import { type Digest, parseDigest } from "./digest.ts";
import {
  looksLikeRegistry,
  parseRepositoryName,
  parseTag,
  parseUpstreamName,
  type RepositoryName,
  type Tag,
  type UpstreamName,
} from "./names.ts";

/** One image, by tag, by digest, or by both: then the digest decides, as for every runtime. */
export interface ImageReference {
  readonly upstream: UpstreamName;
  readonly repository: RepositoryName;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** In characters: no name, tag and digest together are longer. */
const MAX_LENGTH = 700;
const DOCKER_HUB = "docker.io";
/** Names under which Docker Hub occurs in images as well. */
const HUB_NAMES: ReadonlySet<string> = new Set(["index.docker.io", "registry-1.docker.io"]);

/**
 * Parses the name of an image as containerd, Docker and Kubernetes read it: `nginx` is
 * `docker.io/library/nginx:latest`, and `localhost/app` is on the registry localhost.
 *
 * @returns undefined if the text is not a valid name
 */
export function parseImageReference(text: string): ImageReference | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const [name = "", digestText, ...more] = text.trim().split("@");
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  if (more.length > 0 || (digestText !== undefined && !digest)) return undefined;
  const [host, path] = splitRegistry(name);
  const colon = path.indexOf(":", path.lastIndexOf("/") + 1);
  const upstream = parseUpstreamName(host);
  const repository = parseRepositoryName(inLibrary(host, colon < 0 ? path : path.slice(0, colon)));
  const tag = colon < 0 ? undefined : parseTag(path.slice(colon + 1));
  if (!upstream || !repository || (colon >= 0 && !tag)) return undefined;
  if (digest) return { upstream, repository, digest, ...(tag ? { tag } : {}) };
  // The brand only claims what the grammar of tags allows.
  return { upstream, repository, tag: tag ?? ("latest" as Tag) };
}

/** The full name: `docker.io/library/nginx:1.27`, `ghcr.io/org/app:v1@sha256:…`. */
export function imageName({ upstream, repository, tag, digest }: ImageReference): string {
  const [tagPart, digestPart] = [tag ? `:${tag}` : "", digest ? `@${digest}` : ""];
  return `${upstream}/${repository}${tagPart}${digestPart}`;
}

function splitRegistry(name: string): readonly [host: string, path: string] {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  // Repositories are in lower case, so a component with capitals is a host.
  const isRegistry = looksLikeRegistry(first) || first !== first.toLowerCase();
  if (!isRegistry) return [DOCKER_HUB, name];
  const host = first.toLowerCase();
  return [HUB_NAMES.has(host) ? DOCKER_HUB : host, name.slice(slash + 1)];
}

/** Of Docker Hub, a name without an owner is one of its official images. */
function inLibrary(host: string, path: string): string {
  return host === DOCKER_HUB && !path.includes("/") ? `library/${path}` : path;
}
