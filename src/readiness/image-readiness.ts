import { isAllowed } from "../cache/policy.ts";
import {
  type ManifestTree,
  type ManifestTrees,
  type Part,
} from "../cache/retention/manifest-trees.ts";
import { isBypassed, type Upstream } from "../cache/upstream.ts";
import { matchesAny } from "../config/parsing/glob-pattern.ts";
import { formatSize } from "../config/parsing/units.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/image-reference.ts";
import type { Tag, UpstreamName } from "../oci/names.ts";
import { ATTESTATION, matchesPlatform } from "../oci/platform-match.ts";
import type { MetadataStore, RepositoryRef, TagRecord } from "../store/metadata-store.ts";
import type { WantedImageState } from "../api/readiness.ts";

export interface ImageReadinessParts {
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "access">;
  readonly trees: Pick<ManifestTrees, "read" | "platformOf">;
  readonly upstreams: { get(name: UpstreamName): Upstream | undefined };
  /** With which digest a tag is served, which need not be what its registry says. */
  readonly servedDigest: (repo: RepositoryRef, tag: Tag) => Promise<Digest | undefined>;
}

/** What is known of one image: `image` and `wantedBy` are the caller's. */
export type Found = Omit<WantedImageState, "image" | "wantedBy" | "digest"> & {
  readonly digest?: Digest;
};

/** The parts of the platforms that are wanted. */
interface Wanted {
  readonly platforms: string[];
  readonly parts: readonly Part[];
  /** Platforms whose manifests are missing, so that nobody knows what else is. */
  readonly unknown: readonly string[];
}

/** As many digests as one query takes. */
const BATCH = 512;

/**
 * Whether an image can be pulled while its registry does not answer: its tag is known and may be served, every
 * blob of the platforms is stored, and each is known to be of this repository. Nothing is asked of a registry.
 */
export async function imageReadiness(
  image: ImageReference,
  platforms: readonly string[],
  parts: ImageReadinessParts,
  now: number = Date.now(),
): Promise<Found> {
  const { upstream: name, repository } = image;
  const repo = { upstream: name, repository };
  const upstream = parts.upstreams.get(name);
  if (!upstream) return uncached(`${name} is not cached here`);
  if (!isAllowed(upstream.settings, repository)) {
    return uncached(`the configuration does not allow ${repository} of ${name}`);
  }
  if (isBypassed(upstream, repo)) return uncached(`${repository} of ${name} bypasses the cache`);
  const record = await recordOf(image, repo, parts);
  if (!record) return missing("it was never pulled through this cache");
  const digest = image.digest ?? (image.tag && (await parts.servedDigest(repo, image.tag)));
  if (!digest) {
    return missing("policies hold it back, or an operator does: entrepot history shows why");
  }
  const until = image.digest ? {} : servedUntil(upstream, image, record);
  const found = { digest, ...until };
  if (until.servedUntil !== undefined && until.servedUntil <= now) {
    const reason = `its tag was checked too long ago to be served: see staleFor of ${name}`;
    return { ...missing(reason), ...found };
  }
  if ((await parts.metadata.access.get(repo))?.isRefused) {
    return { ...missing(`${name} refuses access to ${repository}`), ...found };
  }
  const tree = await parts.trees.read(digest);
  if (!tree) return { ...missing("its manifest is not stored"), ...found };
  const wanted = await wantedOf(tree, platforms, parts);
  if (wanted.parts.length === 1 && tree.isIndex && wanted.unknown.length === 0) {
    const reason = `it has no ${platforms.join(", ")}`;
    return { state: "missing", platforms: [], ...found, reason };
  }
  const lacking = await lackingOf(wanted.parts, repo, parts);
  const { platforms: looked, unknown } = wanted;
  if (lacking.length === 0 && unknown.length === 0) {
    return { state: "ready", platforms: looked, ...found };
  }
  const bytes = lacking.reduce((sum, { size }) => sum + size, 0);
  return {
    state: "partial",
    platforms: looked,
    ...found,
    missing: { blobs: lacking.length, bytes },
    reason: lackText(lacking.length, bytes, unknown),
  };
}

async function recordOf(
  image: ImageReference,
  repo: RepositoryRef,
  { metadata }: ImageReadinessParts,
): Promise<(Pick<TagRecord, "digest"> & Partial<TagRecord>) | undefined> {
  if (image.digest) {
    const link = await metadata.links.get(repo, image.digest);
    return link?.confirmed ? { digest: image.digest } : undefined;
  }
  return image.tag && metadata.tags.get(repo, image.tag);
}

/** Without a registry, a tag is served for `staleFor` after its last check, or without limit. */
function servedUntil(
  { settings }: Upstream,
  { tag }: ImageReference,
  { checkedAt = 0 }: Partial<TagRecord>,
): { readonly servedUntil?: number } {
  const { staleFor, tagTtl, immutableTags } = settings;
  if (staleFor === undefined || (tag && matchesAny(immutableTags, tag))) return {};
  return { servedUntil: checkedAt + Math.max(staleFor, tagTtl) };
}

async function wantedOf(
  tree: ManifestTree,
  platforms: readonly string[],
  { trees }: ImageReadinessParts,
): Promise<Wanted> {
  const all = new Map<Digest, Part>([[tree.root.digest, tree.root]]);
  const found: string[] = [];
  const unknown: string[] = [];
  for (const { platform, manifest, parts, isCached } of tree.platforms) {
    if (platform === ATTESTATION) continue;
    const isWanted =
      platform === undefined ||
      platforms.length === 0 ||
      platforms.some((one) => matchesPlatform(platform, one));
    if (!isWanted) continue;
    const name = tree.isIndex ? platform : await trees.platformOf(manifest);
    if (name !== undefined) found.push(name);
    for (const part of parts) all.set(part.digest, part);
    if (!isCached) unknown.push(name ?? manifest);
  }
  return { platforms: found, parts: [...all.values()], unknown };
}

/** Those that are not stored, or that nobody has seen in this repository. */
async function lackingOf(
  wanted: readonly Part[],
  repo: RepositoryRef,
  { metadata }: ImageReadinessParts,
): Promise<Part[]> {
  const stored = new Set<Digest>();
  for (let first = 0; first < wanted.length; first += BATCH) {
    const digests = wanted.slice(first, first + BATCH).map(({ digest }) => digest);
    for (const { digest } of await metadata.blobs.find(digests)) stored.add(digest);
  }
  const lacking: Part[] = [];
  for (const part of wanted) {
    const isSeen =
      stored.has(part.digest) && (await metadata.links.get(repo, part.digest))?.confirmed;
    if (!isSeen) lacking.push(part);
  }
  return lacking;
}

function lackText(blobs: number, bytes: number, unknown: readonly string[]): string {
  const count = `${blobs} ${blobs === 1 ? "blob is" : "blobs are"} missing (${formatSize(bytes)})`;
  return unknown.length === 0 ? count : `${count}, and more of ${unknown.join(", ")}`;
}

function uncached(reason: string): Found {
  return { state: "uncached", platforms: [], reason };
}

function missing(reason: string): Found {
  return { state: "missing", platforms: [], reason };
}
