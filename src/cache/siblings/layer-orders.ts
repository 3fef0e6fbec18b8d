import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { ManifestError, type Descriptor, type Manifest } from "../../oci/manifest.ts";
import { isIndexType, isImageConfigType, isLayerType } from "../../oci/media-types.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { StoredManifest } from "../results.ts";

/** How many manifests are known. */
const MAX_MANIFESTS = 512;
/** Their layers altogether, about 3 MB. */
const MAX_LAYERS = 16_384;
/** A manifest with more of them is none of a container image: overlayfs has no more lower layers. */
const MAX_LAYERS_PER_IMAGE = 256;
/** A pull asks for its first layer within this time after its manifest, in milliseconds. */
const RECENT_MS = 60_000;
/** How many manifests of a repository are compared, the latest first. */
const MAX_CANDIDATES = 16;

/** A manifest of an image that was served, and its layers once they were needed. */
interface Known {
  readonly repo: string;
  readonly digest: Digest;
  readonly servedAt: number;
  readonly image?: Image | undefined;
}

interface Image {
  readonly config: Descriptor;
  /** The lowest first, none of them twice. */
  readonly layers: readonly Descriptor[];
}

/** What a pull that asks for a layer will ask for as well. */
export interface Above {
  /** The manifest of the image, by which pulls of it are told apart. */
  readonly manifest: Digest;
  /** The config, and the layers above that layer, the lowest first. */
  readonly blobs: readonly Descriptor[];
  /** Whether that is all of them: other images that were pulled lately have the same lower layers. */
  readonly isCertain: boolean;
}

export interface LayerOrdersOptions {
  /** The bytes of a manifest that was served, if they are still there. */
  readonly load: (repo: RepositoryRef, digest: Digest) => Promise<StoredManifest | undefined>;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/**
 * The order of layers in the images whose manifests clients have fetched: a layer tells which image is being
 * pulled. A manifest is parsed when one of its layers is missing, so a hit costs an entry.
 */
export class LayerOrders {
  readonly #load: LayerOrdersOptions["load"];
  readonly #now: () => number;
  readonly #known = new LRUCache<string, Known>({
    max: MAX_MANIFESTS,
    maxSize: MAX_LAYERS,
    sizeCalculation: ({ image }) => 1 + (image?.layers.length ?? 0),
  });

  constructor({ load, now }: LayerOrdersOptions) {
    this.#load = load;
    this.#now = now;
  }

  /** How many manifests are known. */
  get count(): number {
    return this.#known.size;
  }

  /** A client was sent a manifest. */
  served(
    repo: RepositoryRef,
    { digest, mediaType }: Pick<StoredManifest, "digest" | "mediaType">,
  ): void {
    if (isIndexType(mediaType)) return;
    const [name, key] = keysOf(repo, digest);
    const servedAt = this.#now();
    this.#known.set(key, { repo: name, digest, servedAt, image: this.#known.peek(key)?.image });
  }

  /**
   * What a client will ask for that asks for a layer of this repository; `undefined` if that is not known.
   * Of several images that have the layer, only what they share: the next layer tells which one it is.
   */
  async above(repo: RepositoryRef, layer: Digest): Promise<Above | undefined> {
    const [name] = keysOf(repo, layer);
    const ofRepository = [...this.#known.values()]
      .filter((known) => known.repo === name)
      .toSorted((one, other) => other.servedAt - one.servedAt);
    const candidates: (Image & { readonly known: Known })[] = [];
    for (const known of ofRepository.slice(0, MAX_CANDIDATES)) {
      const image = await this.#imageOf(repo, known);
      if (image?.layers.some(({ digest }) => digest === layer))
        candidates.push({ ...image, known });
    }
    const since = this.#now() - RECENT_MS;
    const recent = candidates.filter(({ known }) => known.servedAt >= since);
    const [latest, ...others] = recent.length > 0 ? recent : candidates;
    if (!latest) return undefined;
    const from = latest.layers.findIndex(({ digest }) => digest === layer);
    const all = [latest.config, ...latest.layers.slice(from + 1)];
    const shared = all.filter(({ digest }) =>
      others.every(({ config, layers }) =>
        [config, ...layers].some((other) => other.digest === digest),
      ),
    );
    const isCertain = shared.length === all.length;
    return { manifest: latest.known.digest, blobs: shared, isCertain };
  }

  async #imageOf(repo: RepositoryRef, known: Known): Promise<Image | undefined> {
    if (known.image) return known.image;
    const manifest = await this.#load(repo, known.digest);
    const image = manifest && (await readImage(manifest));
    const [, key] = keysOf(repo, known.digest);
    // What is no image has no layers, and is not parsed again. It may have been served once more meanwhile.
    if (image) this.#known.set(key, { ...(this.#known.peek(key) ?? known), image });
    else this.#known.delete(key);
    return image;
  }
}

async function readImage({ bytes, mediaType }: StoredManifest): Promise<Image | undefined> {
  let manifest: Manifest;
  try {
    manifest = await parseManifest(bytes, mediaType);
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    return undefined;
  }
  // Signatures, attestations, charts and other artifacts are not pulled as a whole by all clients.
  const config = manifest.blobs.find((blob) => isImageConfigType(blob.mediaType));
  const layers = manifest.blobs.filter((blob) => isLayerType(blob.mediaType));
  const byDigest = new Map(layers.map((layer) => [layer.digest, layer]));
  // In a Map, a key that is set again stays where it was.
  const unique = [...byDigest.values()];
  if (!config || unique.length === 0 || unique.length > MAX_LAYERS_PER_IMAGE) return undefined;
  return { config, layers: unique };
}

function keysOf(
  { upstream, repository }: RepositoryRef,
  digest: Digest,
): readonly [repository: string, manifest: string] {
  const name = `${upstream}/${repository}`;
  return [name, `${name}@${digest}`];
}
