import { z } from "zod";
import { parseRepositoryName, parseTag, parseUpstreamName, type Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../metadata-store.ts";

/** The metadata of a blob that is kept in a file, so that the metadata database can be rebuilt. */
export interface Sidecar {
  readonly repositories: readonly RepositoryTags[];
}

/** A repository whose upstream gave the blob, and the tags that point to it there, if it is a manifest. */
export interface RepositoryTags {
  readonly repo: RepositoryRef;
  /** Of manifests only: the Content-Type with which the registry gave it there. */
  readonly mediaType?: string;
  /** By tag, when it was recorded to point to the manifest, in milliseconds of the epoch. */
  readonly tags: ReadonlyMap<Tag, number>;
}

const schema = z.object({
  /** In files of earlier versions: that of all repositories. */
  mediaType: z.string().optional(),
  /** The repositories. */
  places: z.array(
    z.object({
      upstream: z.string(),
      repository: z.string(),
      mediaType: z.string().optional(),
      tags: z.record(z.string(), z.number()),
    }),
  ),
});

/** Reads a sidecar from the JSON document of its file; `undefined` if it is not valid. */
export function parseSidecar(document: unknown): Sidecar | undefined {
  const parsed = schema.safeParse(document);
  if (!parsed.success) return undefined;
  const repositories = parsed.data.places.flatMap((entry) => {
    const upstream = parseUpstreamName(entry.upstream);
    const repository = parseRepositoryName(entry.repository);
    if (!upstream || !repository) return [];
    const tags = Object.entries(entry.tags).flatMap(([name, at]): [Tag, number][] => {
      const tag = parseTag(name);
      return tag ? [[tag, at]] : [];
    });
    const mediaType = entry.mediaType ?? parsed.data.mediaType;
    const type = mediaType === undefined ? {} : { mediaType };
    return [{ repo: { upstream, repository }, ...type, tags: new Map(tags) }];
  });
  return { repositories };
}

/** The JSON document of a sidecar's file. */
export function serializeSidecar({ repositories }: Sidecar): object {
  const places = repositories.map(({ repo, mediaType, tags }) => ({
    upstream: repo.upstream,
    repository: repo.repository,
    mediaType,
    tags: Object.fromEntries(tags),
  }));
  return { places };
}

/** As what the bytes of a manifest are read; `undefined` for other blobs. */
export function manifestTypeOf(sidecar: Sidecar | undefined): string | undefined {
  return sidecar?.repositories.find(({ mediaType }) => mediaType !== undefined)?.mediaType;
}

export function isSameRepository(one: RepositoryRef, other: RepositoryRef): boolean {
  return one.upstream === other.upstream && one.repository === other.repository;
}

/** A sidecar with a repository of a manifest, and a tag of it if one is given; the same one if it has both. */
export function withEntry(
  sidecar: Sidecar | undefined,
  { mediaType, repo, tag, at }: { mediaType: string; repo: RepositoryRef; tag?: Tag; at: number },
): Sidecar {
  const repositories = sidecar?.repositories ?? [];
  const existing = repositories.find((one) => isSameRepository(one.repo, repo));
  const hasTag = tag === undefined || existing?.tags.has(tag);
  if (sidecar && existing?.mediaType === mediaType && hasTag) return sidecar;
  const tags = new Map(existing?.tags);
  if (tag !== undefined) tags.set(tag, at);
  const others = repositories.filter((one) => one !== existing);
  return { repositories: [...others, { repo, mediaType, tags }] };
}
