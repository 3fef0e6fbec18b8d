/** Public hosts of single registries: their own, and mirrors of them. */
const SERVES: Readonly<Record<string, string>> = {
  "registry-1.docker.io": "docker.io",
  "index.docker.io": "docker.io",
  "docker.io": "docker.io",
  "mirror.gcr.io": "docker.io",
  "ghcr.io": "ghcr.io",
  "quay.io": "quay.io",
  "registry.k8s.io": "registry.k8s.io",
  "gcr.io": "gcr.io",
  "mcr.microsoft.com": "mcr.microsoft.com",
  "public.ecr.aws": "public.ecr.aws",
  "nvcr.io": "nvcr.io",
  "registry.gitlab.com": "registry.gitlab.com",
};

/**
 * Whether an endpoint that was configured for every registry can serve this one. The host of another
 * registry cannot: at best it has no such image, and at worst one of the same name by somebody else.
 *
 * @param url of the endpoint
 * @param registry `_default` for every registry without settings of its own
 * @param registries those that are known to be registries, besides the public ones
 */
export function canServe(url: string, registry: string, registries: readonly string[]): boolean {
  const host = URL.parse(url.includes("://") ? url : `https://${url}`)?.host ?? "";
  const served = SERVES[host] ?? (registries.includes(host) ? host : undefined);
  return served === undefined || served === registry;
}

/** A note about endpoints that do not follow the cache, because they cannot serve the registry. */
export function leftOutNote(registry: string, urls: readonly string[]): string {
  const isOne = urls.length === 1;
  const what = isOne ? "does not stay after the cache" : "do not stay after the cache";
  const why = isOne ? "it serves another registry" : "they serve other registries";
  return `${registry}: ${urls.join(", ")}, to which every registry was sent, ${what}: ${why}`;
}
