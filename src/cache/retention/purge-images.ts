import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { SidecarFiles } from "../../store/disk/sidecar-files.ts";
import type { BlobUse, MetadataStore, RepositoryRef } from "../../store/metadata-store.ts";
import type { Evictor } from "./evictor.ts";
import type { ImageName, Images } from "./images.ts";
import { type ManifestTrees, partsOf } from "./manifest-trees.ts";
import type { PinnedBlobs } from "./pinned-blobs.ts";
import { RefusedError } from "./refused-error.ts";

export interface Purged {
  /** Such as `docker.io/library/nginx:1`. */
  readonly images: readonly string[];
  /** Blobs that were removed, or would be in a dry run, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  /** Blobs that stay because other images use them. */
  readonly shared: number;
  /** Blobs that stay because they are being filled, or read by followers of a fill. */
  readonly busy: number;
}

export interface PurgeOptions {
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">;
  readonly sidecars: SidecarFiles;
  readonly evictor: Evictor;
  readonly trees: ManifestTrees;
  readonly images: Images;
  readonly pinned: PinnedBlobs;
  readonly inUse: (digest: Digest) => boolean;
}

/** Blobs per metadata query. */
const BATCH_SIZE = 256;

/** Removes the images that match a pattern: the implementation of `StoreAdmin.purge`. */
export async function purgeImages(
  store: PurgeOptions,
  pattern: ImagePattern,
  dryRun: boolean,
): Promise<Purged> {
  const { metadata, sidecars, evictor, trees, inUse, pinned } = store;
  const pins = await metadata.pins.list();
  const purged: ImageName[] = [];
  /** Blobs of the images that stay. */
  const retained = new Set<Digest>();
  /** Manifests of the images that stay, by repository: their links stay, too. */
  const retainedLinks = new Set<string>();
  /** Blobs of the purged images. */
  const candidates = new Set<Digest>();
  for await (const image of store.images.names()) {
    const { upstream, repository, digest } = image;
    const tree = await trees.read(digest);
    const parts = tree ? partsOf(tree) : [];
    const repo = { upstream, repository };
    if (!pattern.matches(image)) {
      for (const part of parts) retained.add(part.digest);
      retainedLinks.add(linkKey(repo, digest));
      for (const { manifest } of tree?.platforms ?? []) retainedLinks.add(linkKey(repo, manifest));
      continue;
    }
    const pin = pins.find(({ pattern: text }) => parseImagePattern(text)?.matches(image));
    if (pin) {
      const hint = `run entrepot unpin '${pin.pattern}' first`;
      throw new RefusedError("pinned", `${nameOf(image)} is pinned by ${pin.pattern}: ${hint}`);
    }
    for (const part of parts) candidates.add(part.digest);
    purged.push(image);
  }
  if (purged.length === 0) {
    const message = `no cached image matches ${pattern.text}: run entrepot ls to list the cached images`;
    throw new RefusedError("no-match", message);
  }
  // Determined here, since a blob that is being filled has no record yet.
  const busy = new Set([...candidates].filter((digest) => !retained.has(digest) && inUse(digest)));
  let [blobs, bytes, shared] = [0, 0, 0];
  for await (const { digest, size } of storedBlobs(metadata, candidates)) {
    if (retained.has(digest)) shared += 1;
    else if (!busy.has(digest)) {
      blobs += 1;
      bytes += size;
      if (dryRun) continue;
      await evictor.remove(digest, size, "purge");
      await metadata.links.removeAll(digest);
      await sidecars.remove(digest);
    }
  }
  if (!dryRun) {
    for (const { upstream, repository, tag, digest } of purged) {
      const repo = { upstream, repository };
      // Sidecar files first: after a crash in between, the image is still listed and can be purged.
      if (tag !== undefined) {
        await sidecars.removeTag(digest, repo, tag);
        await metadata.tags.remove(repo, tag);
      }
      if (retainedLinks.has(linkKey(repo, digest))) continue;
      await sidecars.removeRepository(digest, repo);
      await metadata.links.remove(repo, digest);
    }
    pinned.invalidate();
  }
  const images = purged.map(nameOf);
  return { images, blobs, bytes, shared, busy: busy.size };
}

/** The records of those that are stored, with one batch in memory. */
async function* storedBlobs(
  metadata: Pick<MetadataStore, "blobs">,
  digests: ReadonlySet<Digest>,
): AsyncGenerator<BlobUse> {
  const all = digests.values();
  for (;;) {
    const batch = all.take(BATCH_SIZE).toArray();
    if (batch.length === 0) return;
    yield* await metadata.blobs.find(batch);
  }
}

function nameOf({ upstream, repository, tag, digest }: ImageName): string {
  return `${upstream}/${repository}${tag === undefined ? `@${digest}` : `:${tag}`}`;
}

function linkKey({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
