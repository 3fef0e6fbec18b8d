import { formatSize } from "../../config/parsing/units.ts";
import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { SidecarFiles } from "../../store/disk/sidecar-files.ts";
import type { MetadataStore, Pin } from "../../store/metadata-store.ts";
import { scrub, type ScrubProgress } from "../../store/repair/scrub.ts";
import { reconcile, type Reconciled } from "../../store/repair/reconcile.ts";
import type { RebuildState } from "../../store/repair/rebuild-marker.ts";
import type { DiskBudget } from "../../store/disk/disk-budget.ts";
import type { UpstreamQuotas } from "./upstream-quotas.ts";
import type { Evicted, Evictor } from "./evictor.ts";
import { type CachedImage, Images } from "./images.ts";
import type { ManifestTrees } from "./manifest-trees.ts";
import type { PinnedBlobs } from "./pinned-blobs.ts";
import { purgeImages, type Purged } from "./purge-images.ts";
import { RefusedError } from "./refused-error.ts";

export interface StoreAdminOptions {
  /** The store itself, without leases: looking at it must not keep anything from being evicted. */
  readonly store: BlobStore;
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">;
  readonly sidecars: SidecarFiles;
  readonly budget: DiskBudget;
  readonly evictor: Evictor;
  readonly quotas: UpstreamQuotas;
  readonly trees: ManifestTrees;
  readonly pinned: PinnedBlobs;
  readonly rebuildState: RebuildState;
  readonly inUse: (digest: Digest) => boolean;
  readonly flushUse: () => Promise<void>;
}

/** How often bytes are counted until nothing comes or goes meanwhile. */
const COUNTS = 5;

/** Figures of the store, in bytes. */
export interface StorageFigures {
  readonly contents: number;
  readonly held: number;
  /** On their way in, or begun and kept. */
  readonly drafts: number;
  readonly maxSize: number;
  readonly minFree: number;
  readonly pinned: number;
  readonly isFull: boolean;
}

export interface PinnedPattern extends Pin {
  readonly images: number;
}

export interface Verified extends ScrubProgress, Reconciled {
  readonly repaired: boolean;
}

/** What an operator can ask of a store, whether a server runs on it or not. */
export class StoreAdmin {
  readonly #options: StoreAdminOptions;
  readonly #images: Images;

  constructor(options: StoreAdminOptions) {
    this.#options = options;
    this.#images = new Images(options.metadata, options.trees);
  }

  async figures(): Promise<StorageFigures> {
    const { metadata, budget, pinned } = this.#options;
    const { count, bytes } = await metadata.blobs.total();
    return {
      contents: count,
      held: bytes,
      drafts: budget.partialBytes,
      maxSize: budget.limits.maxSize,
      minFree: budget.limits.minFree,
      pinned: (await pinned.content()).bytes,
      isFull: budget.fullState.isFull,
    };
  }

  /** @throws RefusedError */
  async list(pattern?: string): Promise<CachedImage[]> {
    await this.#options.flushUse().catch(() => {});
    return this.#images.list(pattern === undefined ? undefined : patternOf(pattern));
  }

  /** Evicts what the bounds ask for, or tells what that would be. */
  async collect(dryRun: boolean): Promise<Evicted> {
    await this.#options.budget.measure();
    return this.#options.quotas.enforce({ dryRun });
  }

  async pins(): Promise<PinnedPattern[]> {
    const { metadata, pinned } = this.#options;
    const pins = await metadata.pins.list();
    const { images } = await pinned.contentOf(pins);
    return pins.map((pin) => Object.assign({ images: images.get(pin.pattern) ?? 0 }, pin));
  }

  /**
   * Keeps what a pattern means, now and later. A pattern that means nothing yet is a pin all the same.
   *
   * @throws RefusedError where all pins together would be more than may be stored
   */
  async pin(text: string, platforms: readonly string[] = []): Promise<PinnedPattern> {
    const { metadata, pinned, budget, sidecars } = this.#options;
    const pattern = patternOf(text);
    const wrong = platforms.find((platform) => !PLATFORM.test(platform));
    if (wrong !== undefined) {
      const shown = JSON.stringify(wrong.slice(0, 100));
      throw new RefusedError(
        "no-pattern",
        `${shown} is no platform: write linux/amd64 or its like`,
      );
    }
    const pin = { pattern: pattern.text, platforms, since: Date.now() };
    const others = (await metadata.pins.list()).filter((one) => one.pattern !== pin.pattern);
    const content = await pinned.contentOf([...others, pin]);
    if (content.bytes > budget.limits.maxSize) {
      const sum = `${inFull(content.bytes)}, and storage.maxSize is ${inFull(budget.limits.maxSize)}`;
      throw new RefusedError(
        "over-the-bound",
        `with ${pin.pattern}, all pins together are ${sum}: pin less, name platforms, or raise storage.maxSize`,
      );
    }
    await metadata.pins.put(pin);
    pinned.changed();
    await sidecars.savePins(await metadata.pins.list());
    return { ...pin, images: content.images.get(pin.pattern) ?? 0 };
  }

  /** @throws RefusedError where there is no such pin */
  async unpin(text: string): Promise<void> {
    const { metadata, pinned, sidecars } = this.#options;
    const pattern = patternOf(text).text;
    if (!(await metadata.pins.remove(pattern))) {
      const pins = (await metadata.pins.list()).map((pin) => pin.pattern);
      const there = pins.length === 0 ? "nothing is pinned" : `pinned are: ${pins.join(", ")}`;
      throw new RefusedError("matches-nothing", `there is no pin ${pattern}; ${there}`);
    }
    pinned.changed();
    await sidecars.savePins(await metadata.pins.list());
  }

  /**
   * Forgets images, and what they alone hold.
   *
   * @throws RefusedError where the pattern means nothing, or something that is pinned
   */
  purge(text: string, dryRun = false): Promise<Purged> {
    return purgeImages({ ...this.#options, images: this.#images }, patternOf(text), dryRun);
  }

  /**
   * Verifies every byte, and whether index and files agree.
   *
   * @param options.repair sets corrupt contents aside, and mends the index
   */
  async verify(options: {
    readonly repair: boolean;
    /** Bytes per second. */
    readonly rate?: number;
    readonly onProgress?: (progress: ScrubProgress) => void;
    readonly signal?: AbortSignal;
  }): Promise<Verified> {
    const { store, metadata, sidecars, evictor, inUse } = this.#options;
    const { repair, rate, onProgress, signal } = options;
    const progress = await scrub({
      store,
      ...(rate === undefined ? {} : { rate }),
      ...(onProgress ? { onProgress } : {}),
      ...(signal ? { signal } : {}),
      onCorrupt: async (digest) => {
        if (repair) await this.quarantine(digest);
      },
    });
    const reconciled = await reconcile({
      store,
      metadata,
      sidecars,
      inUse: (digest) => inUse(digest) || evictor.isGoing(digest),
      dryRun: !repair,
      ...(signal ? { signal } : {}),
    });
    if (repair) await this.recount();
    return { ...progress, ...reconciled, repaired: repair };
  }

  /** Takes a corrupt content out of sight, for good: it is filled again when it is asked for. */
  async quarantine(digest: Digest): Promise<void> {
    const { store, evictor, metadata, budget } = this.#options;
    const size = (await metadata.blobs.get(digest))?.size ?? 0;
    if (await store.quarantine(digest)) budget.changeBlobBytes(-size);
    await evictor.remove(digest, size, "corrupt");
    await this.recount();
  }

  /** Pins and what is held, after the index was made again. */
  metadataRebuilt(): void {
    this.#options.pinned.changed();
  }

  async recount(): Promise<void> {
    const { metadata, budget, rebuildState: rebuild, evictor } = this.#options;
    for (let turn = 0; turn < COUNTS; turn += 1) {
      const [moved, going] = [budget.churn, evictor.goingBytes];
      // What was stored before this began is in the index once a first question was answered.
      await metadata.blobs.total();
      const { bytes } = await metadata.blobs.total();
      // An index that is not whole yet knows less than what was added up.
      if (rebuild.finished < rebuild.started) return;
      const doubt = budget.churn - moved + going;
      budget.recount(bytes, doubt);
      if (doubt === 0) return;
    }
  }
}

/** `os/architecture[/variant]`, as an index has it. */
const PLATFORM = /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/;

/** So that two sizes that read the same are still told apart. */
function inFull(bytes: number): string {
  return `${formatSize(bytes)} (${bytes} bytes)`;
}

function patternOf(text: string): ImagePattern {
  const pattern = parseImagePattern(text);
  if (pattern) return pattern;
  const shown = JSON.stringify(text.slice(0, 100));
  const message = `${shown} is no pattern: write an image's name, such as docker.io/library/nginx:1.29 or ghcr.io/org/*`;
  throw new RefusedError("no-pattern", message);
}
