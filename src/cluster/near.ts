import type { NearSources } from "../cache/fetch/near-sources.ts";

/**
 * Other replicas, and the shared store, if there is one. Blobs are read from the store first; a replica says of a
 * manifest also where it may be seen.
 *
 * @param vouched the store for manifests, if something else says where those may be seen
 */
export function nearOf(
  replicas: NearSources,
  store: NearSources | undefined,
  vouched = store,
): NearSources {
  if (!store || !vouched) return replicas;
  const [blobs, manifests] = [allOf([store, replicas]), allOf([replicas, vouched])];
  return {
    of: (place, digest, size) => blobs.of(place, digest, size),
    manifest: (place, digest) => manifests.manifest(place, digest),
  };
}

/** Several kinds of what is near, in the order in which they are asked. */
function allOf(parts: readonly NearSources[]): NearSources {
  return {
    of: (place, digest, size) => parts.flatMap((part) => part.of(place, digest, size)),
    async manifest(place, digest) {
      for (const part of parts) {
        const found = await part.manifest(place, digest);
        if (found) return found;
      }
      return undefined;
    },
  };
}
