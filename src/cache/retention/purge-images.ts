import { setImmediate } from "node:timers/promises";
import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { SidecarFiles } from "../../store/sidecars/sidecar-files.ts";
import type { BlobUse, MetadataStore, Pin, RepositoryRef } from "../../store/metadata-store.ts";
import { BlobMarks } from "./blob-marks.ts";
import type { Evictor } from "./evictor.ts";
import type { ImageName, Images, Survey } from "./images.ts";
import { type ManifestTrees, partsOf } from "./manifest-trees.ts";
import type { PinnedBlobs } from "./pinned-blobs.ts";
import { RefusedError } from "./refused-error.ts";

export interface Purged {
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

/** What is purged. */
export interface PurgeSelection {
  readonly pattern: ImagePattern;
  /** Content that was stored later stays, in milliseconds of the epoch. */
  readonly storedUntil?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Blobs per metadata query. */
const BATCH_SIZE = 256;

/** What a purge notes of a blob. Where two share their marks, both stay if either does. */
const PURGED = 1;
const CANDIDATE = 2;
const RETAINED = 4;

/**
 * A purge whose images are known, and none is pinned: the result of `StoreAdmin.purge`. Of each stored blob it
 * takes 18 bytes, however many images match.
 */
export class Purge {
  readonly #store: PurgeOptions;
  readonly #pattern: ImagePattern;
  readonly #storedUntil: number;
  readonly #survey: Survey;
  readonly #marks: BlobMarks;
  /** Manifests of images that match, and to which other images of the same repository lead. */
  readonly #retainedLinks = new Set<string>();
  /** Candidates that a fill or its followers use. They may have no record yet, and then cannot be marked. */
  readonly #busy = new Set<Digest>();

  private constructor(
    store: PurgeOptions,
    { pattern, storedUntil = Infinity }: PurgeSelection,
    survey: Survey,
    marks: BlobMarks,
  ) {
    this.#store = store;
    this.#pattern = pattern;
    this.#storedUntil = storedUntil;
    this.#survey = survey;
    this.#marks = marks;
  }

  /**
   * Reads every image.
   *
   * @throws RefusedError if no image matches the pattern, or one that does is pinned
   */
  static async prepare(store: PurgeOptions, selection: PurgeSelection): Promise<Purge> {
    const survey = await store.images.survey(selection.signal);
    const marks = await BlobMarks.read(store.metadata.blobs);
    const purge = new Purge(store, selection, survey, marks);
    await purge.#prepare(selection.signal);
    return purge;
  }

  /** The images, such as `docker.io/library/nginx:1`, until they are removed. */
  async *names(): AsyncGenerator<string> {
    for await (const image of this.#images()) yield nameOf(image);
  }

  /** Removes the images, and the blobs that only they use; only counts them in a dry run. */
  async run(dryRun: boolean): Promise<Purged> {
    const { metadata, sidecars, evictor, pinned, inUse } = this.#store;
    let [blobs, bytes, shared] = [0, 0, 0];
    for await (const { digest, size } of this.#candidates()) {
      if (this.#marks.has(digest, RETAINED)) {
        shared += 1;
        continue;
      }
      if (inUse(digest)) this.#busy.add(digest);
      if (this.#busy.has(digest)) continue;
      blobs += 1;
      bytes += size;
      if (dryRun) continue;
      await evictor.remove(digest, size, "purge");
      await metadata.links.removeAll(digest);
      await sidecars.remove(digest);
    }
    if (!dryRun) {
      for await (const image of this.#images()) await this.#forget(image);
      pinned.invalidate();
    }
    return { blobs, bytes, shared, busy: this.#busy.size };
  }

  /** Marks what the images that match lead to, and what the others do. */
  async #prepare(signal: AbortSignal | undefined): Promise<void> {
    const { metadata, images, trees } = this.#store;
    await this.#markMatches(await metadata.pins.list());
    const retainedInUse = new Set<Digest>();
    for await (const image of images.names(this.#survey)) {
      signal?.throwIfAborted();
      const tree = await trees.read(image.digest);
      const parts = tree ? partsOf(tree) : [];
      if (await this.#isMatch(image)) {
        for (const { digest } of parts) {
          this.#marks.add(digest, CANDIDATE);
          if (this.#store.inUse(digest)) this.#busy.add(digest);
        }
        continue;
      }
      for (const { digest } of parts) {
        this.#marks.add(digest, RETAINED);
        if (this.#store.inUse(digest)) retainedInUse.add(digest);
      }
      for (const digest of [image.digest, ...(tree?.platforms ?? []).map((one) => one.manifest)]) {
        const mayBePurged = this.#marks.has(digest, PURGED) || !this.#marks.knows(digest);
        if (mayBePurged) this.#retainedLinks.add(linkKey(image, digest));
      }
    }
    for (const digest of retainedInUse) this.#busy.delete(digest);
  }

  /** @throws RefusedError if no image matches, or one that does is pinned */
  async #markMatches(pins: readonly Pin[]): Promise<void> {
    const patterns = pins.flatMap(({ pattern }) => parseImagePattern(pattern) ?? []);
    let count = 0;
    for await (const image of this.#store.images.names(this.#survey)) {
      if (!(await this.#isMatch(image))) continue;
      const pin = patterns.find((pattern) => pattern.matches(image));
      if (pin) {
        const hint = `run entrepot unpin '${pin.text}' first`;
        throw new RefusedError(
          "pinned",
          `${nameOf(image)} is pinned by ${pin.text}`,
          hint,
          pin.text,
        );
      }
      this.#marks.add(image.digest, PURGED);
      count += 1;
    }
    if (count > 0) return;
    const reason = `no cached image matches ${this.#pattern.text}`;
    throw new RefusedError("no-match", reason, "run entrepot ls to list the cached images");
  }

  /** The images that match, without those that were stored since. */
  async *#images(): AsyncGenerator<ImageName> {
    const { metadata, images } = this.#store;
    for await (const image of images.names(this.#survey)) {
      if (!this.#pattern.matches(image)) continue;
      const isNew = !this.#marks.has(image.digest, PURGED);
      if (isNew && (await metadata.blobs.get(image.digest))) continue;
      yield image;
    }
  }

  /** The records of the blobs of the images. */
  async *#candidates(): AsyncGenerator<BlobUse> {
    const { blobs } = this.#store.metadata;
    let last: Digest | undefined;
    for (;;) {
      const page = await blobs.page(BATCH_SIZE, last);
      last = page.at(-1)?.digest;
      if (last === undefined) return;
      yield* page.filter(
        ({ digest, storedAt }) =>
          this.#marks.has(digest, CANDIDATE) && storedAt <= this.#storedUntil,
      );
      await setImmediate();
    }
  }

  async #isMatch(image: ImageName): Promise<boolean> {
    if (!this.#pattern.matches(image)) return false;
    if (this.#storedUntil === Infinity) return true;
    const [record] = await this.#store.metadata.blobs.find([image.digest]);
    return record === undefined || record.storedAt <= this.#storedUntil;
  }

  async #forget(image: ImageName): Promise<void> {
    const { metadata, sidecars } = this.#store;
    const { upstream, repository, tag, digest } = image;
    const repo = { upstream, repository };
    // Sidecar files first: after a crash in between, the image is still listed and can be purged.
    if (tag !== undefined) {
      await sidecars.removeTag(digest, repo, tag);
      await metadata.tags.remove(repo, tag);
    }
    if (this.#retainedLinks.has(linkKey(repo, digest))) return;
    await sidecars.removeRepository(digest, repo);
    await metadata.links.remove(repo, digest);
  }
}

function nameOf({ upstream, repository, tag, digest }: ImageName): string {
  return `${upstream}/${repository}${tag === undefined ? `@${digest}` : `:${tag}`}`;
}

function linkKey({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
