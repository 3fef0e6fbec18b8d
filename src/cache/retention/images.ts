import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { Tag } from "../../oci/names.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { BlobUse, MetadataStore, RepositoryRef } from "../../store/metadata-store.ts";
import { type ManifestTree, type ManifestTrees, partsOf } from "./manifest-trees.ts";
import { allTags } from "./all-tags.ts";
import { BlobMarks } from "./blob-marks.ts";

/** An image of which blobs are stored. Sizes are in bytes, times in milliseconds since the epoch. */
export interface CachedImage {
  /** Such as `docker.io/library/nginx`. */
  readonly image: string;
  /** Absent if no tag points to it. */
  readonly tag?: string;
  readonly digest: Digest;
  /** Platforms of which every blob is stored. */
  readonly platforms: readonly string[];
  /** Platforms whose manifest is stored, but not every blob. */
  readonly partial: readonly string[];
  /** Of its stored blobs. */
  readonly size: number;
  /** The part of `size` that other images use, too. */
  readonly shared: number;
  readonly lastUsed: number;
  /** ImagePattern of the first pin that keeps it. */
  readonly pin?: string;
}

/** An image by name and digest, in the types of the metadata store. */
export interface ImageName extends RepositoryRef {
  readonly tag?: Tag;
  readonly digest: Digest;
}

/** Blobs per metadata query. */
const BATCH_SIZE = 256;
/** In how many of its repositories an image without a tag is listed. */
const MAX_REPOSITORIES = 16;

/** What a survey notes of a blob. */
const REACHED = 1;
const READ = 2;
const USED = 4;
const SHARED = 8;

/** What is known once every image was read. Of each stored blob it takes nine bytes. */
export class Survey {
  readonly #marks: BlobMarks;

  constructor(marks: BlobMarks) {
    this.#marks = marks;
  }

  /** Whether several images use a blob. Several tags of the same manifest count once. */
  isShared(digest: Digest): boolean {
    return this.#marks.has(digest, SHARED);
  }

  /** Whether a blob was stored when the survey began. */
  knows(digest: Digest): boolean {
    return this.#marks.knows(digest);
  }

  /** Whether a tag or an index leads to a manifest. */
  isReached(digest: Digest): boolean {
    return this.#marks.has(digest, REACHED);
  }

  reach(tree: ManifestTree): void {
    for (const { manifest } of tree.platforms) {
      if (manifest !== tree.root.digest) this.#marks.add(manifest, REACHED);
    }
  }

  /** Notes that a tag leads to a manifest. Returns whether that is new. */
  reachByTag(digest: Digest): boolean {
    return this.#marks.add(digest, REACHED);
  }

  /** Counts the blobs of an image, once. */
  use(tree: ManifestTree): void {
    if (!this.#marks.add(tree.root.digest, READ)) return;
    for (const { digest } of partsOf(tree)) {
      if (!this.#marks.add(digest, USED)) this.#marks.add(digest, SHARED);
    }
  }
}

/** Lists images, from the recorded tags, the manifests and the stored blobs. */
export class Images {
  readonly #metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">;
  readonly #trees: ManifestTrees;

  constructor(
    metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">,
    trees: ManifestTrees,
  ) {
    this.#metadata = metadata;
    this.#trees = trees;
  }

  /** The images that match a pattern, or all, one by one: there may be tens of thousands. */
  async *list(pattern?: ImagePattern, signal?: AbortSignal): AsyncGenerator<CachedImage> {
    const survey = await this.survey(signal);
    const pins = await this.pins();
    for await (const name of this.names(survey)) {
      if (pattern && !pattern.matches(name)) continue;
      const image = await this.describe(name, survey, pins);
      if (image) yield image;
    }
  }

  /** The patterns of the pins. */
  async pins(): Promise<ImagePattern[]> {
    const pins = await this.#metadata.pins.list();
    return pins.flatMap((pin) => parseImagePattern(pin.pattern) ?? []);
  }

  /** What is stored of an image; undefined if nothing is. */
  async describe(
    name: ImageName,
    survey: Survey,
    pins: readonly ImagePattern[],
  ): Promise<CachedImage | undefined> {
    const tree = (await this.#trees.read(name.digest)) ?? (await this.#unreadTree(name.digest));
    if (!tree) return undefined;
    const stored = await this.#storedParts(tree);
    const records = [...stored.values()];
    const platform = tree.isIndex ? undefined : await this.#trees.platformOf(name.digest);
    const pin = pins.find((pattern) => pattern.matches(name));
    return {
      image: `${name.upstream}/${name.repository}`,
      ...(name.tag === undefined ? {} : { tag: name.tag }),
      digest: name.digest,
      ...platformsOf(tree, stored, platform),
      size: records.reduce((sum, { size }) => sum + size, 0),
      shared: records.reduce(
        (sum, { digest, size }) => sum + (survey.isShared(digest) ? size : 0),
        0,
      ),
      lastUsed: Math.max(0, ...records.map(({ usedAt }) => usedAt)),
      ...(pin ? { pin: pin.text } : {}),
    };
  }

  /** Reads every image, unless the signal aborts. */
  async survey(signal?: AbortSignal): Promise<Survey> {
    const survey = new Survey(await BlobMarks.read(this.#metadata.blobs));
    for await (const { digest } of allTags(this.#metadata.tags)) {
      signal?.throwIfAborted();
      if (!survey.reachByTag(digest)) continue;
      const tree = await this.#trees.read(digest);
      if (!tree) continue;
      survey.reach(tree);
      survey.use(tree);
    }
    // First of all of them: a manifest that an untagged index contains is not an image of its own.
    for await (const digest of this.#untagged(survey)) {
      signal?.throwIfAborted();
      const tree = await this.#trees.read(digest);
      if (tree?.isIndex) survey.reach(tree);
    }
    for await (const digest of this.#untagged(survey)) {
      signal?.throwIfAborted();
      if ((await this.#metadata.links.repositoriesOf(digest, 1)).length === 0) continue;
      const tree = await this.#trees.read(digest);
      if (tree) survey.use(tree);
    }
    return survey;
  }

  /**
   * Every tag, and then the manifests to which no tag and no index leads: always in the same order.
   *
   * @param after where to go on
   */
  async *names(survey: Survey, after?: ImageName): AsyncGenerator<ImageName> {
    if (after?.tag !== undefined || !after) {
      const tag = after?.tag === undefined ? undefined : { repo: after, tag: after.tag };
      for await (const { repo, tag: name, digest } of allTags(this.#metadata.tags, tag)) {
        yield { upstream: repo.upstream, repository: repo.repository, tag: name, digest };
      }
    }
    const last = after?.tag === undefined ? after : undefined;
    if (last) yield* this.#placesOf(last.digest, last);
    for await (const digest of this.#untagged(survey, last?.digest)) {
      yield* this.#placesOf(digest);
    }
  }

  /** The repositories of an image without a tag, or those after one of them. */
  async *#placesOf(digest: Digest, after?: RepositoryRef): AsyncGenerator<ImageName> {
    const all = await this.#metadata.links.repositoriesOf(digest, MAX_REPOSITORIES);
    const isLast = ({ upstream, repository }: RepositoryRef): boolean =>
      upstream === after?.upstream && repository === after.repository;
    const first = all.findIndex(isLast) + 1;
    if (after && first === 0) return;
    for (const { upstream, repository } of all.slice(first)) {
      yield { upstream, repository, digest };
    }
  }

  /** The manifests that are not reached. What is reached meanwhile counts. */
  async *#untagged(survey: Survey, after?: Digest): AsyncGenerator<Digest> {
    const yielder = new EventLoopYielder();
    let last = after;
    for (;;) {
      const page = await this.#metadata.blobs.page(BATCH_SIZE, last);
      last = page.at(-1)?.digest;
      if (last === undefined) return;
      for (const { digest, mediaType } of page) {
        if (mediaType !== undefined && !survey.isReached(digest)) yield digest;
        await yielder.pause();
      }
    }
  }

  /** What is known of an image whose manifest is stored, and cannot be read. */
  async #unreadTree(digest: Digest): Promise<ManifestTree | undefined> {
    const record = await this.#metadata.blobs.get(digest);
    return record && { root: { digest, size: record.size }, isIndex: true, platforms: [] };
  }

  async #storedParts(tree: ManifestTree): Promise<Map<Digest, BlobUse>> {
    const digests = partsOf(tree).map(({ digest }) => digest);
    const stored = new Map<Digest, BlobUse>();
    for (let first = 0; first < digests.length; first += BATCH_SIZE) {
      const batch = digests.slice(first, first + BATCH_SIZE);
      for (const record of await this.#metadata.blobs.find(batch)) {
        stored.set(record.digest, record);
      }
    }
    return stored;
  }
}

/** @param imagePlatform of an image without an index */
function platformsOf(
  tree: ManifestTree,
  stored: ReadonlyMap<Digest, BlobUse>,
  imagePlatform: string | undefined,
): Pick<CachedImage, "platforms" | "partial"> {
  const platforms: string[] = [];
  const partial: string[] = [];
  for (const { platform = imagePlatform ?? "", parts, isCached: isHere } of tree.platforms) {
    // BuildKit gives attestation manifests in an index this platform.
    const name = platform === "unknown/unknown" ? "attestation" : platform;
    if (!isHere || name === "") continue;
    (parts.every(({ digest }) => stored.has(digest)) ? platforms : partial).push(name);
  }
  return { platforms, partial };
}
