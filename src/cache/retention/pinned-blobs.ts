import type { Digest } from "../../oci/digest.ts";
import type { ImageReference } from "../../oci/image-reference.ts";
import type { MetadataStore, Pin } from "../../store/metadata-store.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { SingleFlight } from "../single-flight.ts";
import { type BlobKey, blobKey, BlobMarks } from "./blob-marks.ts";
import type { LastImages } from "./former-images.ts";
import { type ManifestTrees, partsOf } from "./manifest-trees.ts";
import { type MatchedTags, pinMatches, type ServedDigests } from "./pin-matches.ts";

const PINNED = 1;
const GOES_LAST = 2;

/** TTL of the resolved pins while tags or links change, in milliseconds. */
const TTL_MS = 10_000;
/** Pinned images of which it is remembered what they are made of: some 10 MB. */
const MAX_REMEMBERED = 32_768;

export interface PinnedSet {
  /** Whether a blob is pinned. */
  has(digest: Digest): boolean;
  /** Whether a blob is evicted only once nothing else can be, pinned blobs excepted. */
  goesLast(digest: Digest): boolean;
  /** Whether any does. */
  readonly hasLast: boolean;
  /** What the pinned blobs take on the disk, whether they are stored or not; each counts once. */
  readonly bytes: number;
  /** By pattern, how many images it matches. */
  readonly images: ReadonlyMap<string, number>;
  /** How many of the images that are kept have no room. */
  readonly unkept: number;
}

/** Images that are kept as if they were pinned, for as long as there is room: nobody asked for each of them. */
export interface KeptImages {
  /** What matters most comes first. */
  readonly images: readonly ImageReference[];
  /** What they and all pins may take on the disk together, in bytes. Of what exceeds it, nothing is kept. */
  readonly limit: number;
}

/** What a pinned image is made of. A manifest never changes. */
interface PinnedImage {
  /** Its blobs, and what each takes on the disk. */
  readonly blobs: readonly BlobKey[];
  readonly bytes: readonly number[];
  /** Manifests of its platforms that were not stored: with one of them, it has more blobs. */
  readonly missing: readonly BlobKey[];
}

interface ResolveOptions {
  readonly into: Map<string, PinnedImage>;
  readonly kept?: KeptImages;
  readonly last?: LastImages;
  readonly signal?: AbortSignal | undefined;
}

interface Resolved extends PinnedSet {
  /** Whether each manifest that has a record could be read. */
  readonly isComplete: boolean;
}

const NONE: Resolved = {
  has: () => false,
  goesLast: () => false,
  hasLast: false,
  bytes: 0,
  images: new Map(),
  unkept: 0,
  isComplete: true,
};

/**
 * Resolves pins to the blobs that they keep, and what else goes last. The result holds until tags or links change,
 * and for TTL_MS then: a blob that becomes pinned meanwhile was used last, so LRU eviction does not reach it before that.
 * Only manifests that were not read before are read.
 */
export class PinnedBlobs {
  readonly #metadata: Pick<MetadataStore, "tags" | "blobs" | "pins" | "revision">;
  readonly #trees: ManifestTrees;
  readonly #spaceOf: (size: number) => number;
  readonly #goingLast: () => Promise<LastImages>;
  readonly #now: () => number;
  readonly #flights = new SingleFlight<PinnedSet>();
  /** By digest and platforms. */
  #images = new Map<string, PinnedImage>();
  #kept: KeptImages = { images: [], limit: 0 };
  #served: ServedDigests = { revision: 0, of: async () => undefined };
  /** Number of calls of `invalidate`. */
  #generation = 0;
  #cached:
    { readonly pinned: Resolved; readonly until: number; readonly revision: number } | undefined;

  /**
   * @param options.spaceOf what a blob of a size takes on the disk
   * @param options.goingLast images of which it is asked whether they go last; none by default
   * @param options.now the clock, monotonic, in milliseconds
   */
  constructor(
    metadata: Pick<MetadataStore, "tags" | "blobs" | "pins" | "revision">,
    trees: ManifestTrees,
    {
      spaceOf,
      goingLast = async () => ({ digests: [], limit: 0 }),
      now = () => performance.now(),
    }: {
      readonly spaceOf: (size: number) => number;
      readonly goingLast?: () => Promise<LastImages>;
      readonly now?: () => number;
    },
  ) {
    this.#now = now;
    this.#goingLast = goingLast;
    this.#metadata = metadata;
    this.#trees = trees;
    this.#spaceOf = spaceOf;
  }

  /** The blobs that all pins keep now. */
  async current(): Promise<PinnedSet> {
    const cached = this.#cached;
    // A manifest that could not be read may be readable again, which changes no tag and no link.
    const isUnchanged = cached?.pinned.isComplete && cached.revision === this.#revision;
    if (cached && (isUnchanged || this.#now() < cached.until)) return cached.pinned;
    return this.#flights.run(String(this.#generation), () => this.#refresh());
  }

  /** To be called when the pins have changed. */
  invalidate(): void {
    this.#generation += 1;
    this.#cached = undefined;
  }

  /** Keeps these images in addition to the pins, instead of those before. */
  keep(kept: KeptImages): void {
    this.#kept = kept;
    this.invalidate();
  }

  /** Keeps with each tag what it is served with, which need not be what its registry says. */
  keepServed(served: ServedDigests): void {
    this.#served = served;
    this.invalidate();
  }

  /** The blobs that these pins keep. */
  resolve(pins: readonly Pin[], signal?: AbortSignal): Promise<PinnedSet> {
    return this.#resolve(pins, { into: this.#images, signal });
  }

  /**
   * Every blob that pins keep, whether it is stored or not. One that several images use comes several times.
   *
   * @param signal ends it
   */
  async *blobs(pins: readonly Pin[], signal?: AbortSignal): AsyncGenerator<Digest> {
    for await (const { pin, digest } of pinMatches(this.#matched, pins, signal)) {
      const tree = await this.#trees.read(digest);
      if (!tree) continue;
      for (const part of partsOf(tree, pin.platforms)) yield part.digest;
    }
  }

  get #matched(): MatchedTags {
    return { tags: this.#metadata.tags, served: this.#served };
  }

  /** Both only grow, so an equal sum means that neither has changed. */
  get #revision(): number {
    return this.#metadata.revision + this.#served.revision;
  }

  async #refresh(): Promise<PinnedSet> {
    const generation = this.#generation;
    const revision = this.#revision;
    const images = new Map<string, PinnedImage>();
    const pins = await this.#metadata.pins.list();
    const last = await this.#goingLast();
    const pinned = await this.#resolve(pins, { into: images, kept: this.#kept, last });
    // The pins changed meanwhile: resolve them again, instead of caching an outdated result.
    if (generation !== this.#generation) return this.current();
    this.#images = images;
    this.#cached = { pinned, until: this.#now() + TTL_MS, revision };
    return pinned;
  }

  /** @param options.into in which is noted what the pinned images are made of */
  async #resolve(
    pins: readonly Pin[],
    { into: images, kept, last, signal }: ResolveOptions,
  ): Promise<Resolved> {
    const counts = new Map(pins.map((pin) => [pin.pattern, 0]));
    if (pins.length === 0 && !kept?.images.length && !last?.digests.length) {
      return { ...NONE, images: counts };
    }
    const yielder = new EventLoopYielder();
    const marks = await BlobMarks.read(this.#metadata.blobs);
    /** Those that are not stored: few, since an image is pinned once it is here. */
    const absent = new Set<BlobKey>();
    let [bytes, isComplete, unkept] = [0, true, 0];
    const addBlob = (blob: BlobKey, space: number): void => {
      const isKnown = marks.knows(blob);
      if (isKnown ? !marks.add(blob, PINNED) : absent.has(blob)) return;
      bytes += space;
      if (!isKnown) absent.add(blob);
    };
    const isNew = (blob: BlobKey): boolean => !marks.has(blob, PINNED) && !absent.has(blob);
    const read = async (
      digest: Digest,
      platforms: readonly string[],
    ): Promise<PinnedImage | undefined> => {
      const name = [digest, ...platforms].join(" ");
      const image = this.#remembered(name, digest, marks) ?? (await this.#read(digest, platforms));
      isComplete &&= image
        ? !image.missing.some((blob) => marks.knows(blob))
        : !marks.knows(digest);
      if (image && images.size < MAX_REMEMBERED) images.set(name, image);
      return image;
    };
    const add = (image: PinnedImage): void =>
      image.blobs.forEach((blob, at) => addBlob(blob, image.bytes[at] ?? 0));
    for await (const { pin, digest } of pinMatches(this.#matched, pins, signal)) {
      counts.set(pin.pattern, (counts.get(pin.pattern) ?? 0) + 1);
      const image = await read(digest, pin.platforms);
      if (image) add(image);
    }
    for (const reference of kept?.images ?? []) {
      await yielder.pause();
      const digest = await this.#digestOf(reference);
      const image = digest && (await read(digest, []));
      if (!image) continue;
      const more = image.blobs.reduce(
        (sum, blob, at) => sum + (isNew(blob) ? (image.bytes[at] ?? 0) : 0),
        0,
      );
      if (kept && bytes + more > kept.limit) unkept += 1;
      else add(image);
    }
    let lastBytes = 0;
    for (const digest of last?.digests ?? []) {
      await yielder.pause();
      const image = marks.knows(digest) ? await read(digest, []) : undefined;
      if (!image) continue;
      // What is not here takes nothing: nobody is about to fetch it.
      const more = image.blobs.reduce(
        (sum, blob, at) =>
          marks.knows(blob) && !marks.has(blob, PINNED | GOES_LAST)
            ? sum + (image.bytes[at] ?? 0)
            : sum,
        0,
      );
      if (last && lastBytes + more > last.limit) continue;
      lastBytes += more;
      for (const blob of image.blobs) marks.add(blob, GOES_LAST);
    }
    const has = (digest: Digest): boolean =>
      marks.has(digest, PINNED) || absent.has(blobKey(digest));
    const goesLast = (digest: Digest): boolean => marks.has(digest, GOES_LAST);
    return { has, goesLast, hasLast: lastBytes > 0, bytes, images: counts, unkept, isComplete };
  }

  /** What an image is now: by its digest, or as its tag was last seen. */
  async #digestOf(image: ImageReference): Promise<Digest | undefined> {
    const { digest, tag, upstream, repository } = image;
    if (digest) return digest;
    if (!tag) return undefined;
    const repo = { upstream, repository };
    return (await this.#served.of(repo, tag)) ?? (await this.#metadata.tags.get(repo, tag))?.digest;
  }

  /** What was read before of an image, if it is stored and none of its manifests has come since. */
  #remembered(name: string, digest: Digest, marks: BlobMarks): PinnedImage | undefined {
    const image = this.#images.get(name);
    if (!image || !marks.knows(digest)) return undefined;
    return image.missing.some((blob) => marks.knows(blob)) ? undefined : image;
  }

  async #read(digest: Digest, platforms: readonly string[]): Promise<PinnedImage | undefined> {
    const tree = await this.#trees.read(digest);
    if (!tree) return undefined;
    const parts = partsOf(tree, platforms);
    const missing = tree.platforms.filter(({ isCached: isHere }) => !isHere);
    return {
      blobs: parts.map((part) => blobKey(part.digest)),
      bytes: parts.map(({ size }) => this.#spaceOf(size)),
      missing: missing.map(({ manifest }) => blobKey(manifest)),
    };
  }
}
