import { type Digest, parseDigest } from "./digest.ts";
import { looksLikeRegistry } from "./names.ts";

/**
 * A pattern for image names, as `entrepot purge` and pins take it. `*` matches any characters,
 * including `/`.
 */
export interface ImagePattern {
  /** The expanded pattern: `docker.io/library/nginx:*`. */
  readonly text: string;
  readonly digest?: Digest;
  /** The tag that it names; absent if it has stars there, or names a digest. */
  readonly tag?: string;
  /** Whether it may match anything of a repository. */
  matchesRepository(image: Pick<NamedImage, "upstream" | "repository">): boolean;
  /** Whether the pattern matches an image. An image without a tag only matches a digest or the tag `*`. */
  matches(image: NamedImage): boolean;
}

export interface NamedImage {
  readonly upstream: string;
  readonly repository: string;
  readonly tag?: string;
  /** Absent: only patterns without a digest match. */
  readonly digest?: Digest;
}

/** In characters: no image name is longer. */
const MAX_LENGTH = 600;
const GRAMMAR = /^[a-zA-Z0-9*][a-zA-Z0-9*._/:[\]-]*$/;

/**
 * Parses an image pattern: `docker.io/library/*:*`, `registry.k8s.io/pause:3.10`, `nginx` (all tags of
 * `docker.io/library/nginx`), `ghcr.io/org/app@sha256:…` or `*`.
 *
 * @returns undefined if the text is not a valid pattern
 */
export function parseImagePattern(text: string): ImagePattern | undefined {
  const [name = "", digestText, ...more] = text.trim().split("@");
  const digest = digestText === undefined ? undefined : parseDigest(digestText);
  if (more.length > 0 || (digestText !== undefined && !digest)) return undefined;
  if (name.length > MAX_LENGTH || !GRAMMAR.test(name)) return undefined;
  const full = expandShortName(name);
  const slash = full.lastIndexOf("/");
  const colon = full.indexOf(":", slash);
  const image = colon < 0 ? full : full.slice(0, colon);
  const tag = colon < 0 || digest ? "*" : full.slice(colon + 1);
  if (image === "" || tag === "" || image.endsWith("/") || image.includes("//")) return undefined;
  const [imageParts, tagParts] = [image.split("*"), tag.split("*")];
  const matchesRepository: ImagePattern["matchesRepository"] = ({ upstream, repository }) =>
    matchesParts(imageParts, `${upstream}/${repository}`);
  return {
    text: digest ? `${image}@${digest}` : `${image}:${tag}`,
    ...(digest ? { digest } : {}),
    ...(tagParts.length === 1 ? { tag } : {}),
    matchesRepository,
    matches: (candidate) =>
      matchesRepository(candidate) &&
      (digest === undefined || candidate.digest === digest) &&
      (candidate.tag === undefined
        ? digest !== undefined || tag === "*"
        : matchesParts(tagParts, candidate.tag)),
  };
}

/** Expands short names as Docker does: `nginx` to `docker.io/library/nginx`. */
function expandShortName(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (first.includes("*") || (rest.length > 0 && looksLikeRegistry(first))) return name;
  return rest.length > 0 ? `docker.io/${name}` : `docker.io/library/${name}`;
}

/** A matcher of texts against a pattern in which `*` stands for any characters. */
export function starMatcher(pattern: string): (text: string) => boolean {
  const parts = pattern.split("*");
  return (text) => matchesParts(parts, text);
}

/**
 * Whether a text matches a pattern, given as the literals between its stars. Each literal is taken at
 * the first place where it fits, and none is tried twice. A regular expression backtracks: against
 * `*a*a*a*a*a*a*b`, one long name took minutes.
 */
function matchesParts(parts: readonly string[], text: string): boolean {
  const [first = "", ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let position = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, position);
    if (found < 0) return false;
    position = found + part.length;
  }
  return text.length - last.length >= position && text.endsWith(last);
}
