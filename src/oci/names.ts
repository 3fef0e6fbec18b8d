declare const repositoryBrand: unique symbol;
declare const tagBrand: unique symbol;
declare const upstreamBrand: unique symbol;

/** A validated repository name without the registry: `library/nginx`. At most 255 characters. */
export type RepositoryName = string & { readonly [repositoryBrand]: true };

/** A validated tag. At most 128 characters. */
export type Tag = string & { readonly [tagBrand]: true };

/** A validated registry name as in image references, in lower case: `ghcr.io`, `registry.test:5000`. */
export type UpstreamName = string & { readonly [upstreamBrand]: true };

// distribution-spec v1.1.1, "Pulling manifests".
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const HOST_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const UPSTREAM = new RegExp(
  `^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[a-f0-9:.]{2,45}\\])(?::([0-9]{1,5}))?$`,
);

/** @returns undefined if the text is not a valid repository name */
export function parseRepositoryName(text: string): RepositoryName | undefined {
  // The length check comes first: it bounds the time of the regular expression.
  // The brand only claims that the text passed both checks.
  return text.length <= 255 && REPOSITORY.test(text) ? (text as RepositoryName) : undefined;
}

/** @returns undefined if the text is not a valid tag */
export function parseTag(text: string): Tag | undefined {
  // The brand only claims that the text matches the specification's grammar.
  return TAG.test(text) ? (text as Tag) : undefined;
}

/**
 * Parses `host[:port]` and converts it to lower case. Rejects a scheme, a path and user information.
 *
 * @returns undefined if the text is not a valid registry name
 */
export function parseUpstreamName(text: string): UpstreamName | undefined {
  const name = text.toLowerCase();
  if (name.length > 253) return undefined;
  const match = UPSTREAM.exec(name);
  if (!match) return undefined;
  const port = match[1];
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return undefined;
  // The brand only claims that host and port passed the checks above.
  return name as UpstreamName;
}

/** Whether the first component of an image name is a registry rather than part of the repository name. */
export function looksLikeRegistry(component: string): boolean {
  return component.includes(".") || component.includes(":") || component === "localhost";
}
