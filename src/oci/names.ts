declare const repositoryBrand: unique symbol;
declare const tagBrand: unique symbol;
declare const upstreamBrand: unique symbol;

/** A repository's name as its upstream knows it: `library/nginx`. At most 255 characters. */
export type RepositoryName = string & { readonly [repositoryBrand]: true };

/** A tag, at most 128 characters. */
export type Tag = string & { readonly [tagBrand]: true };

/** An upstream's name as images carry it: a host with an optional port, `ghcr.io`, `registry.test:5000`. */
export type UpstreamName = string & { readonly [upstreamBrand]: true };

// distribution-spec v1.1.1, "Pulling manifests".
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const HOST_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const UPSTREAM = new RegExp(
  `^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[a-f0-9:.]{2,45}\\])(?::([0-9]{1,5}))?$`,
);

export function parseRepositoryName(text: string): RepositoryName | undefined {
  // The length comes first: the expression is only ever run on a bounded text.
  // Both checks together are what the brand stands for.
  return text.length <= 255 && REPOSITORY.test(text) ? (text as RepositoryName) : undefined;
}

export function parseTag(text: string): Tag | undefined {
  // Checked against the specification's grammar, which is what the brand stands for.
  return TAG.test(text) ? (text as Tag) : undefined;
}

/** Reads `host[:port]`, in any case of letters; no scheme, path or user. */
export function parseUpstreamName(text: string): UpstreamName | undefined {
  const name = text.toLowerCase();
  if (name.length > 253) return undefined;
  const match = UPSTREAM.exec(name);
  if (!match) return undefined;
  const port = match[1];
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return undefined;
  // Host and port were both checked above.
  return name as UpstreamName;
}

/** Whether the first component of an image's name is a registry rather than a part of a path. */
export function looksLikeRegistry(component: string): boolean {
  return component.includes(".") || component.includes(":") || component === "localhost";
}
