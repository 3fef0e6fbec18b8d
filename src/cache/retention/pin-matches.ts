import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { Tag } from "../../oci/names.ts";
import type { Pin, RepositoryRef, Tags } from "../../store/metadata-store.ts";
import { allTags } from "./all-tags.ts";

/** With which digests tags are served. */
export interface ServedDigests {
  /** Grows when what is served may have changed, though no tag and no link has. */
  readonly revision: number;
  /** `undefined` if a tag is served with none. */
  of(repo: RepositoryRef, tag: Tag): Promise<Digest | undefined>;
}

export interface MatchedTags {
  readonly tags: Pick<Tags, "all">;
  readonly served: ServedDigests;
}

interface ParsedPin {
  readonly pin: Pin;
  readonly pattern: ImagePattern;
}

/** The images that pins match, each as often as it has tags and pins. */
export async function* pinMatches(
  { tags, served }: MatchedTags,
  pins: readonly Pin[],
  signal?: AbortSignal,
): AsyncGenerator<{ readonly pin: Pin; readonly digest: Digest }> {
  const patterns = parsed(pins);
  if (patterns.length === 0) return;
  const matched = new Set<Pin>();
  for await (const { repo, tag, digest } of allTags(tags)) {
    signal?.throwIfAborted();
    const { upstream, repository } = repo;
    for (const { pin, pattern } of patterns) {
      if (!pattern.matches({ upstream, repository, tag, digest })) continue;
      matched.add(pin);
      yield { pin, digest };
      const instead = await served.of(repo, tag);
      if (instead && instead !== digest) yield { pin, digest: instead };
    }
  }
  // An image that was pulled by digest may have no tag.
  for (const { pin, pattern } of patterns) {
    if (pattern.digest && !matched.has(pin)) yield { pin, digest: pattern.digest };
  }
}

function parsed(pins: readonly Pin[]): ParsedPin[] {
  return pins.flatMap((pin): ParsedPin[] => {
    const pattern = parseImagePattern(pin.pattern);
    return pattern ? [{ pin, pattern }] : [];
  });
}
