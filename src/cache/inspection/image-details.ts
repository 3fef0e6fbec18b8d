import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ImageReference } from "../../oci/image-reference.ts";
import type { Tag } from "../../oci/names.ts";
import type { BlobUse, MetadataStore, RepositoryRef } from "../../store/metadata-store.ts";
import { type Descriptor, readDescriptors, referrersKey } from "../lookup/referrers-index.ts";
import { allTags } from "../retention/all-tags.ts";
import type { CachedImage, Images, Survey } from "../retention/images.ts";
import type {
  ManifestTree,
  ManifestTrees,
  Part,
  PlatformTree,
} from "../retention/manifest-trees.ts";
import { RefusedError } from "../retention/refused-error.ts";

/** How many platforms, tags, repositories and referrers are listed, each. */
const MOST = 256;
/** How many parts are listed, of all platforms together: an image may have tens of thousands. */
const MOST_PARTS = 4096;
/** Blobs per metadata query. */
const BATCH_SIZE = 256;

/** A manifest, config or layer of a platform. */
export interface ImagePart {
  readonly digest: Digest;
  /** In bytes, as its descriptor says. */
  readonly size: number;
  readonly mediaType?: string;
  readonly isStored: boolean;
  /** Whether other images use it, too. */
  readonly isShared: boolean;
}

export interface ImagePlatform {
  /** Absent if the image has no index and its config is not stored. */
  readonly platform?: string;
  /** Of its manifest. */
  readonly digest: Digest;
  /** Whether all of its parts are stored. */
  readonly isComplete: boolean;
  /** Its manifest first; the manifest alone if that is not stored. */
  readonly parts: readonly ImagePart[];
}

export interface Referrer {
  readonly digest: string;
  readonly artifactType?: string;
  readonly size?: number;
}

/** All that is known of one image. Times are in milliseconds of the epoch. */
export interface ImageDetails extends CachedImage {
  readonly mediaType?: string;
  /** When its manifest was stored. */
  readonly storedAt?: number;
  /** When the upstream last confirmed the tag. */
  readonly checkedAt?: number;
  readonly pins: readonly string[];
  readonly manifests: readonly ImagePlatform[];
  /** Names of this and other repositories that point to it as well. */
  readonly tags: readonly string[];
  readonly repositories: readonly string[];
  /** As its registry listed them last; absent if nobody has asked for them. */
  readonly referrers?: readonly Referrer[];
}

export interface ImageInspectorOptions {
  readonly images: Pick<Images, "describe" | "pins">;
  readonly trees: Pick<ManifestTrees, "read" | "platformOf">;
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "listings">;
  readonly survey: () => Promise<Survey>;
}

/** Tells what is known of one image. */
export class ImageInspector {
  readonly #options: ImageInspectorOptions;

  constructor(options: ImageInspectorOptions) {
    this.#options = options;
  }

  /** @throws RefusedError if it is not cached */
  async details(reference: ImageReference): Promise<ImageDetails> {
    const { images, trees, metadata } = this.#options;
    const { upstream, repository } = reference;
    const repo = { upstream, repository };
    const { tag, digest, checkedAt } = await this.#resolve(reference, repo);
    const survey = await this.#options.survey();
    const patterns = await images.pins();
    const name = { ...repo, digest, ...(tag !== undefined && { tag }) };
    const image = await images.describe(name, survey, patterns);
    const tree = await trees.read(digest);
    if (!image) throw notCached(repo, tag ?? digest);
    const [record] = await metadata.blobs.find([digest]);
    const referrers = await this.#referrers(repo, digest);
    const repositories = await metadata.links.repositoriesOf(digest, MOST);
    return {
      ...image,
      ...(record?.mediaType !== undefined && { mediaType: record.mediaType }),
      ...(record && { storedAt: record.storedAt }),
      ...(checkedAt !== undefined && { checkedAt }),
      pins: patterns.filter((pattern) => pattern.matches(name)).map(({ text }) => text),
      manifests: tree ? await this.#platforms(tree, survey) : [],
      tags: await this.#tagsOf(digest),
      repositories: repositories.map(textOf),
      ...(referrers && { referrers }),
    };
  }

  /** As for a runtime: if there are both, the digest decides. */
  async #resolve(
    { tag, digest }: ImageReference,
    repo: RepositoryRef,
  ): Promise<{ readonly tag?: Tag; readonly digest: Digest; readonly checkedAt?: number }> {
    const { tags, links } = this.#options.metadata;
    const record = tag === undefined ? undefined : await tags.get(repo, tag);
    if (digest === undefined) {
      if (tag !== undefined && record) return { tag, ...record };
      throw notCached(repo, tag ?? "");
    }
    if (!(await links.get(repo, digest))) throw notCached(repo, digest);
    const isTagged = tag !== undefined && record?.digest === digest;
    return isTagged ? { tag, ...record } : { digest };
  }

  async #platforms(tree: ManifestTree, survey: Survey): Promise<ImagePlatform[]> {
    const listed: ImagePlatform[] = [];
    const yielder = new EventLoopYielder();
    let room = MOST_PARTS;
    for (const one of tree.platforms.slice(0, MOST)) {
      const platform = await this.#platform(one, survey, room);
      room -= platform.parts.length;
      listed.push(platform);
      await yielder.pause();
    }
    return listed;
  }

  async #platform(
    { platform, manifest, parts }: PlatformTree,
    survey: Survey,
    room: number,
  ): Promise<ImagePlatform> {
    const stored = await this.#stored(parts);
    const own = platform ?? (await this.#options.trees.platformOf(manifest));
    const partOf = ({ digest, size, mediaType }: Part): ImagePart => {
      // A descriptor may have none.
      const type = mediaType || stored.get(digest)?.mediaType;
      const isStored = stored.has(digest);
      const isShared = survey.isShared(digest);
      return { digest, size, ...(type && { mediaType: type }), isStored, isShared };
    };
    return {
      ...(own !== undefined && { platform: own }),
      digest: manifest,
      isComplete: parts.every(({ digest }) => stored.has(digest)),
      parts: parts.slice(0, room).map(partOf),
    };
  }

  async #stored(parts: readonly Part[]): Promise<Map<Digest, BlobUse>> {
    const all = [...new Set(parts.map(({ digest }) => digest))];
    const stored = new Map<Digest, BlobUse>();
    for (let first = 0; first < all.length; first += BATCH_SIZE) {
      const batch = all.slice(first, first + BATCH_SIZE);
      for (const record of await this.#options.metadata.blobs.find(batch)) {
        stored.set(record.digest, record);
      }
    }
    return stored;
  }

  async #tagsOf(wanted: Digest): Promise<string[]> {
    const found: string[] = [];
    for await (const { repo, tag, digest } of allTags(this.#options.metadata.tags)) {
      if (digest === wanted) found.push(`${textOf(repo)}:${tag}`);
      if (found.length === MOST) break;
    }
    return found;
  }

  async #referrers(repo: RepositoryRef, digest: Digest): Promise<Referrer[] | undefined> {
    const listing = await this.#options.metadata.listings.get(repo, referrersKey(digest));
    if (!listing) return undefined;
    const descriptors = await readDescriptors(listing.body).catch(() => []);
    return descriptors.slice(0, MOST).flatMap(referrerOf);
  }
}

/** A registry may send anything. */
function referrerOf({ digest, artifactType, size }: Descriptor): Referrer[] {
  if (typeof digest !== "string") return [];
  return [
    {
      digest,
      ...(typeof artifactType === "string" && { artifactType }),
      ...(typeof size === "number" && { size }),
    },
  ];
}

function textOf({ upstream, repository }: RepositoryRef): string {
  return `${upstream}/${repository}`;
}

/** What is said of an image that is not cached, and of one of which nothing is to be told. */
export function imageNotCached({ tag, digest, ...repo }: ImageReference): RefusedError {
  return notCached(repo, digest ?? tag ?? "");
}

function notCached(repo: RepositoryRef, version: string): RefusedError {
  const mark = version.includes(":") ? "@" : ":";
  return new RefusedError(
    "no-match",
    `${textOf(repo)}${mark}${version} is not cached`,
    "run entrepot ls to list the cached images",
  );
}
