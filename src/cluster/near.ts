import type { NearSources } from "../cache/fetch/near-sources.ts";

/** Several kinds of what is near, in the order in which they are asked. */
export function allOf(parts: readonly NearSources[]): NearSources {
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
