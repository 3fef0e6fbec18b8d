import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { SidecarFiles } from "../../store/disk/sidecar-files.ts";
import type { BlobUse, MetadataStore, RepositoryRef } from "../../store/metadata-store.ts";
import type { Evictor } from "./evictor.ts";
import type { Images } from "./images.ts";
import { type ManifestTrees, partsOf } from "./manifest-trees.ts";
import type { PinnedBlobs } from "./pinned-blobs.ts";
import { RefusedError } from "./refused-error.ts";

export interface Purged {
  /** `docker.io/library/nginx:1`. */
  readonly images: readonly string[];
  readonly blobs: number;
  readonly bytes: number;
  /** Contents that stay since other images hold them. */
  readonly shared: number;
  /** Contents that are being brought in or read at this moment: they are left alone. */
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

/** Forgets the images that a pattern means, as `Steward.purge` says. */
export async function purgeImages(
  store: PurgeOptions,
  pattern: ImagePattern,
  dryRun: boolean,
): Promise<Purged> {
  const { metadata, sidecars, evictor, trees, inUse, pinned } = store;
  const pins = await metadata.pins.list();
  const doomed: { name: string; forget: () => Promise<void> }[] = [];
  const staying = new Set<Digest>();
  /** Manifests that images which stay need where they are seen. */
  const needed = new Set<string>();
  const going = new Map<Digest, number>();
  for await (const image of store.images.named()) {
    const { upstream, repository, tag, digest } = image;
    const tree = await trees.read(digest);
    const parts = tree ? partsOf(tree) : [];
    const place = { upstream, repository };
    if (!pattern.matches(image)) {
      for (const part of parts) staying.add(part.digest);
      needed.add(seenAt(place, digest));
      for (const { manifest } of tree?.platforms ?? []) needed.add(seenAt(place, manifest));
      continue;
    }
    const name = `${upstream}/${repository}${tag === undefined ? `@${digest}` : `:${tag}`}`;
    const pin = pins.find((one) => parseImagePattern(one.pattern)?.matches(image));
    if (pin) {
      const hint = `entrepot unpin '${pin.pattern}'`;
      throw new RefusedError("pinned", `${name} is pinned by ${pin.pattern}: ${hint} first`);
    }
    for (const part of parts) going.set(part.digest, part.size);
    doomed.push({
      name,
      forget: async () => {
        // The files first: what is only half purged is still listed, and can be purged again.
        if (tag !== undefined) {
          await sidecars.removeTag(digest, place, tag);
          await metadata.tags.remove(place, tag);
        }
        if (needed.has(seenAt(place, digest))) return;
        await sidecars.removeRepository(digest, place);
        await metadata.links.remove(place, digest);
      },
    });
  }
  if (doomed.length === 0) {
    const message = `nothing that is cached is meant by ${pattern.text}: entrepot ls shows what is`;
    throw new RefusedError("matches-nothing", message);
  }
  // What is being brought in is not held yet.
  const busy = [...going.keys()].filter((digest) => !staying.has(digest) && inUse(digest));
  let [contents, bytes, shared] = [0, 0, 0];
  for (const { digest, size, mediaType } of await held(metadata, [...going.keys()])) {
    if (staying.has(digest)) shared += 1;
    else if (!busy.includes(digest)) {
      contents += 1;
      bytes += size;
      if (dryRun) continue;
      await evictor.remove(digest, size, "purge");
      await metadata.links.removeAll(digest);
      if (mediaType !== undefined) await sidecars.remove(digest);
    }
  }
  if (!dryRun) {
    for (const { forget } of doomed) await forget();
    pinned.changed();
  }
  const images = doomed.map(({ name }) => name);
  return { images, blobs: contents, bytes, shared, busy: busy.length };
}

async function held(
  metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">,
  digests: readonly Digest[],
): Promise<BlobUse[]> {
  const rows: BlobUse[] = [];
  for (let first = 0; first < digests.length; first += 256) {
    rows.push(...(await metadata.blobs.find(digests.slice(first, first + 256))));
  }
  return rows;
}

function seenAt({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
