import { z } from "zod";
import { parseDigest } from "../../oci/digest.ts";
import { parseRepositoryName, parseTag, parseUpstreamName, type Tag } from "../../oci/names.ts";
import { thinnedStays } from "../merged-stays.ts";
import type { RepositoryRef } from "../metadata-store.ts";
import type { TagStay } from "../tag-history.ts";

/** The metadata of a blob that is kept in a file, so that the metadata database can be rebuilt. */
export interface Sidecar {
  readonly repositories: readonly RepositoryTags[];
}

/** A repository whose upstream gave the blob, and the tags that point to it there, if it is a manifest. */
export interface RepositoryTags {
  readonly repo: RepositoryRef;
  /** Of manifests only: the Content-Type with which the registry gave it there. */
  readonly mediaType?: string;
  /** Of manifests only: when it was first recorded there, in milliseconds of the epoch; absent if that is not known. */
  readonly since?: number;
  /** By tag, when it was recorded to point to the manifest, in milliseconds of the epoch. */
  readonly tags: ReadonlyMap<Tag, number>;
  /** By tag that points to the manifest or did: what it pointed to until then, the latest first. */
  readonly stays?: Stays;
}

export type Stays = ReadonlyMap<Tag, readonly TagStay[]>;

/** How many stays of a tag are kept in a file: what a tag was before matters for some moves. */
const MAX_STAYS_KEPT = 5;
/** Of how many tags of a repository. */
const MAX_TAGS_KEPT = 20;

const staySchema = z
  .object({
    digest: z.string().transform(parseDigest),
    first: z.number(),
    last: z.number(),
    served: z.number().optional(),
    source: z.string().optional(),
  })
  .transform(({ digest, first, last, served, source }): TagStay | undefined => {
    if (!digest) return undefined;
    return {
      digest,
      firstSeen: first,
      lastSeen: last,
      ...(served === undefined ? {} : { firstServed: served }),
      ...(source === undefined ? {} : { source }),
    };
  });

const schema = z.object({
  /** In files of earlier versions: that of all repositories. */
  mediaType: z.string().optional(),
  /** The repositories. */
  places: z.array(
    z.object({
      upstream: z.string(),
      repository: z.string(),
      mediaType: z.string().optional(),
      since: z.number().optional().catch(undefined),
      tags: z.record(z.string(), z.number()),
      /** Not in files of earlier versions. What cannot be read of it is left out. */
      history: z.record(z.string(), z.array(staySchema)).optional().catch(undefined),
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
    const tags = byTag(entry.tags);
    const mediaType = entry.mediaType ?? parsed.data.mediaType;
    const type = mediaType === undefined ? {} : { mediaType };
    const history = entry.history && byTag(entry.history);
    const stays = history && {
      stays: new Map(
        [...history].map(([tag, all]) => [tag, all.filter((stay) => stay !== undefined)]),
      ),
    };
    const since = entry.since === undefined ? {} : { since: entry.since };
    return [{ repo: { upstream, repository }, ...type, ...since, tags, ...stays }];
  });
  return { repositories };
}

function byTag<Value>(entries: Readonly<Record<string, Value>>): Map<Tag, Value> {
  const valid = Object.entries(entries).flatMap(([name, value]): [Tag, Value][] => {
    const tag = parseTag(name);
    return tag ? [[tag, value]] : [];
  });
  return new Map(valid);
}

/** The JSON document of a sidecar's file. */
export function serializeSidecar({ repositories }: Sidecar): object {
  const places = repositories.map(({ repo, mediaType, since, tags, stays }) => ({
    upstream: repo.upstream,
    repository: repo.repository,
    mediaType,
    since,
    tags: Object.fromEntries(tags),
    history:
      stays && Object.fromEntries([...stays].map(([tag, all]) => [tag, all.map(serializeStay)])),
  }));
  return { places };
}

function serializeStay({ digest, firstSeen, lastSeen, firstServed, source }: TagStay): object {
  return { digest, first: firstSeen, last: lastSeen, served: firstServed, source };
}

/** As what the bytes of a manifest are read; `undefined` for other blobs. */
export function manifestTypeOf(sidecar: Sidecar | undefined): string | undefined {
  return sidecar?.repositories.find(({ mediaType }) => mediaType !== undefined)?.mediaType;
}

export function isSameRepository(one: RepositoryRef, other: RepositoryRef): boolean {
  return one.upstream === other.upstream && one.repository === other.repository;
}

/** What is recorded of a manifest. */
export interface SidecarEntry {
  readonly mediaType: string;
  readonly repo: RepositoryRef;
  readonly tag?: Tag;
  /** When that was learnt from the upstream, in milliseconds of the epoch. */
  readonly at: number;
  /** What the tag pointed to until now, the latest first. */
  readonly stays?: readonly TagStay[];
}

/** A sidecar with a repository of a manifest, and a tag of it if one is given; the same one if it has both. */
export function withEntry(
  sidecar: Sidecar | undefined,
  { mediaType, repo, tag, at, stays = [] }: SidecarEntry,
): Sidecar {
  const repositories = sidecar?.repositories ?? [];
  const existing = repositories.find((one) => isSameRepository(one.repo, repo));
  const hasTag = tag === undefined || existing?.tags.has(tag);
  if (sidecar && existing?.mediaType === mediaType && hasTag) return sidecar;
  const tags = new Map(existing?.tags);
  if (tag !== undefined) tags.set(tag, at);
  const others = repositories.filter((one) => one !== existing);
  // What is adopted from another registry was seen at an unknown time.
  const isNew = !existing && at > 0;
  const own = { ...existing, repo, mediaType, tags, ...(isNew ? { since: at } : {}) };
  const entry = withStays(own, tag, stays);
  return { repositories: [...others, entry] };
}

/** A sidecar of a manifest to which a tag no longer points; the same one if it did not. */
export function withoutTag(
  sidecar: Sidecar | undefined,
  repo: RepositoryRef,
  { tag, stays }: { readonly tag: Tag; readonly stays: readonly TagStay[] },
): Sidecar | undefined {
  const existing = sidecar?.repositories.find((one) => isSameRepository(one.repo, repo));
  if (!sidecar || !existing?.tags.has(tag)) return sidecar;
  const tags = new Map(existing.tags);
  tags.delete(tag);
  const others = sidecar.repositories.filter((one) => one !== existing);
  return { repositories: [...others, withStays({ ...existing, tags }, tag, stays)] };
}

/** A sidecar of a blob that is no longer visible in a repository; `undefined` if it was the last one. */
export function withoutRepository(
  sidecar: Sidecar | undefined,
  repo: RepositoryRef,
): Sidecar | undefined {
  const others = sidecar?.repositories.filter((one) => !isSameRepository(one.repo, repo)) ?? [];
  if (!sidecar || others.length === sidecar.repositories.length) return sidecar;
  return others.length === 0 ? undefined : { repositories: others };
}

/** What a sidecar takes in memory, roughly. */
export function sidecarBytes({ repositories }: Sidecar): number {
  let sum = 300;
  for (const { tags, stays } of repositories) {
    sum += 300 + 100 * tags.size;
    for (const all of stays?.values() ?? []) sum += 100 + 200 * all.length;
  }
  return sum;
}

function withStays(
  entry: RepositoryTags,
  tag: Tag | undefined,
  added: readonly TagStay[],
): RepositoryTags {
  if (tag === undefined || added.length === 0) return entry;
  const stays = new Map(entry.stays);
  // The last one to go, then.
  stays.delete(tag);
  stays.set(tag, thinnedStays(added, MAX_STAYS_KEPT));
  for (const earlier of [...stays.keys()].slice(0, -MAX_TAGS_KEPT)) stays.delete(earlier);
  return { ...entry, stays };
}
