import { isBypassed, type Upstream } from "../cache/upstream.ts";
import { isAllowed } from "../cache/policy.ts";
import { RefusedError } from "../cache/retention/refused-error.ts";
import { formatSize } from "../config/parsing/units.ts";
import { Fault } from "../oci/fault.ts";
import { type ImageReference, imageName } from "../oci/image-reference.ts";
import { type Descriptor, ManifestError } from "../oci/manifest.ts";
import type { UpstreamName } from "../oci/names.ts";
import type { RepositoryRef } from "../store/metadata-store.ts";
import type { Progress } from "../api/jobs.ts";
import type { WarmedImage, WarmResult } from "../api/warm.ts";
import { inParallel } from "../process/in-parallel.ts";
import { ManifestWalk, type WantedParts, type WarmCache } from "./manifest-walk.ts";
import { Patience, type PatienceOptions } from "./patience.ts";
import { type ChosenImage, NoTagError, selectImages, type WarmItem } from "./select-images.ts";
import { Tally } from "./tally.ts";
import { UncachedError, WarmError } from "./warm-error.ts";

/** How many registries are asked at once: one that has to be waited for keeps no other one waiting. */
const REGISTRIES_AT_ONCE = 8;
/** How many images of a registry are looked at at once: most of that is waiting for an answer. */
const IMAGES_AT_ONCE = 3;
/** How many blobs of an image are fetched at once; the cache itself has fewer places for each upstream. */
const BLOBS_AT_ONCE = 4;
/** Those of all images of an order: some 20 MB. */
const MAX_BLOBS = 200_000;
/** How often the progress is told, in milliseconds. */
const REPORT_MS = 500;
/** How many images a result names. */
const MAX_LISTED = 500;

export interface WarmParts {
  readonly cache: WarmCache;
  readonly upstreams: { get(name: UpstreamName): Upstream | undefined; keys(): Iterable<string> };
  /** The platforms for which images are pulled here. */
  readonly platformsInUse: () => Promise<readonly string[]>;
  /** How large the store may become, in bytes. */
  readonly maxSize: () => number;
  /** @throws RefusedError */
  readonly pin: (image: ImageReference, platforms: readonly string[]) => Promise<unknown>;
  readonly sleep?: PatienceOptions["sleep"];
}

/** What is to be warmed. */
export interface WarmOrder {
  readonly images: readonly WarmItem[];
  /** Empty for the platforms in use; `all` for every one. */
  readonly platforms: readonly string[];
  readonly referrers: boolean;
  readonly pin: boolean;
  /** How many images a range of versions may select. */
  readonly max: number;
}

/** One order, from its images to their last blobs. */
export class WarmRun {
  readonly #parts: WarmParts;
  readonly #order: WarmOrder;
  readonly #report: (progress: Progress) => void;
  readonly #signal: AbortSignal;
  /** Aborted with what ends the order early. */
  readonly #failure = new AbortController();
  /** What is waited for, by whoever waits. */
  readonly #notes = new Map<Patience, string>();
  readonly #tally: Tally;
  readonly #items: WarmedImage[] = [];
  readonly #cut: WarmResult["cut"] = [];

  constructor(
    parts: WarmParts,
    order: WarmOrder,
    report: (progress: Progress) => void,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#order = order;
    this.#report = report;
    this.#signal = AbortSignal.any([signal, this.#failure.signal]);
    this.#tally = new Tally((...blob) => parts.cache.background.received(...blob));
  }

  /** @throws the signal's reason, if it is aborted */
  async run(): Promise<WarmResult> {
    const timer = setInterval(() => this.#tell(), REPORT_MS);
    try {
      const wanted = await this.#wantedParts();
      const registries = Map.groupBy(this.#order.images, registryOf);
      await inParallel(REGISTRIES_AT_ONCE, [...registries.values()], (items) =>
        this.#warmRegistry(items, wanted),
      );
      await this.#parts.cache.settled();
      return this.#result();
    } finally {
      clearInterval(timer);
      this.#tell();
    }
  }

  /** All images of one registry. */
  async #warmRegistry(items: readonly WarmItem[], wanted: WantedParts): Promise<void> {
    try {
      const images = await selectImages(items, {
        max: this.#order.max,
        cache: this.#parts.cache,
        patience: this.#patience(),
        upstream: (name) => this.#upstream(name),
        failed: (selector, error) => {
          this.#failed(selector, error);
          this.#tally.images.of += 1;
          this.#tally.images.done += 1;
        },
        cut: (selector, matching) => this.#cut.push({ images: selector, matching }),
      });
      this.#tally.images.of += images.length;
      await inParallel(IMAGES_AT_ONCE, images, (image) => this.#warm(image, wanted));
    } catch (error) {
      this.#failure.abort(error);
      throw error;
    }
  }

  async #wantedParts(): Promise<WantedParts> {
    const { platforms, referrers } = this.#order;
    if (platforms.includes("all")) return { platforms: [], referrers };
    if (platforms.length > 0) return { platforms, referrers };
    return { platforms: await this.#parts.platformsInUse(), referrers };
  }

  /** @throws UncachedError */
  #upstream(name: UpstreamName): Upstream {
    const upstream = this.#parts.upstreams.get(name);
    if (upstream) return upstream;
    const known = [...this.#parts.upstreams.keys()].join(", ");
    throw new UncachedError(`${name} is not cached here. Cached registries: ${known}`);
  }

  async #warm({ image, platforms }: ChosenImage, common: WantedParts): Promise<void> {
    this.#signal.throwIfAborted();
    // Where it runs is known better than what is in use here; what was asked for holds for all.
    const own = this.#order.platforms.length === 0 ? platforms : undefined;
    const wanted = own ? { ...common, platforms: own } : common;
    const { upstream: name, repository } = image;
    const repo = { upstream: name, repository };
    try {
      const upstream = this.#upstream(name);
      mustBeStorable(upstream, repo);
      const patience = this.#patience();
      const { blobs, ...found } = await new ManifestWalk(
        { cache: this.#parts.cache, upstream, repo, patience },
        wanted,
      ).run(image);
      this.#mustFit(blobs);
      this.#tally.add(blobs);
      if (this.#order.pin) await this.#parts.pin(image, wanted.platforms);
      const downloaded = { blobs: 0, bytes: 0 };
      await inParallel(BLOBS_AT_ONCE, blobs, async (blob) => {
        if (!(await this.#fetch(upstream, repo, blob, patience))) return;
        downloaded.blobs += 1;
        downloaded.bytes += blob.size;
      });
      this.#tally.images.done += 1;
      const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
      this.#items.push({ image: imageName(image), state: "ready", ...found, bytes, downloaded });
    } catch (error) {
      this.#failed(imageName(image), error);
      this.#tally.images.done += 1;
    }
  }

  /** @throws WarmError if the store has no room for all: the last images would evict the first */
  #mustFit(blobs: readonly Descriptor[]): void {
    if (this.#tally.blobs + blobs.length > MAX_BLOBS) {
      throw new WarmError(`these images have more than ${MAX_BLOBS} blobs: warm fewer at once`);
    }
    const [bytes, maxSize] = [this.#tally.with(blobs), this.#parts.maxSize()];
    if (bytes <= maxSize) return;
    throw new WarmError(
      `with it, these images take ${formatSize(bytes)}, and the store holds ${formatSize(maxSize)}: warm fewer images or platforms, or raise storage.maxSize`,
    );
  }

  /** @returns whether it had to be downloaded */
  async #fetch(
    upstream: Upstream,
    repo: RepositoryRef,
    { digest, size }: Descriptor,
    patience: Patience,
  ): Promise<boolean> {
    const { background } = this.#parts.cache;
    this.#tally.begin(digest, repo.upstream);
    try {
      const isNew = await patience.ask(upstream, "blob", () =>
        background.fetch({ upstream, repo, digest, size }, this.#signal),
      );
      this.#tally.end(digest, isNew);
      return isNew;
    } finally {
      this.#tally.rests(digest);
    }
  }

  #failed(image: string, error: unknown): void {
    this.#signal.throwIfAborted();
    // The cache is stopping: the order is gone on with after its next start.
    if (error instanceof Fault && error.detail.kind === "cancelled") throw error;
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    const state = error instanceof UncachedError ? "uncached" : "failed";
    this.#items.push({ image, state, reason });
  }

  #result(): WarmResult {
    const failed = this.#items.filter(({ state }) => state === "failed");
    const uncached = this.#items.filter(({ state }) => state === "uncached");
    const ready = this.#items.filter(({ state }) => state === "ready");
    return {
      images: this.#items.length,
      ready: ready.length,
      failed: failed.length,
      uncached: uncached.length,
      downloaded: { ...this.#tally.downloaded },
      cut: this.#cut,
      items: [...failed, ...uncached, ...ready].slice(0, MAX_LISTED),
    };
  }

  #patience(): Patience {
    const patience: Patience = new Patience({
      signal: this.#signal,
      tell: (note) => {
        if (note === undefined) this.#notes.delete(patience);
        else this.#notes.set(patience, note);
        this.#tell();
      },
      ...(this.#parts.sleep ? { sleep: this.#parts.sleep } : {}),
    });
    return patience;
  }

  #tell(): void {
    const [note] = this.#notes.values();
    this.#report(this.#tally.progress(performance.now(), note));
  }
}

function registryOf(item: WarmItem): UpstreamName {
  return item.kind === "image" ? item.image.upstream : item.upstream;
}

/** @throws UncachedError if the configuration keeps the repository from being stored */
function mustBeStorable(upstream: Upstream, repo: RepositoryRef): void {
  const name = `${repo.repository} of ${repo.upstream}`;
  if (!isAllowed(upstream.settings, repo.repository)) {
    throw new UncachedError(
      `this cache's configuration does not allow ${name}: see allow and deny of the upstream`,
    );
  }
  if (!isBypassed(upstream, repo)) return;
  throw new UncachedError(`nothing of ${name} is stored here: see bypass of the upstream`);
}

/** Why an image failed, for people; `undefined` if the cache is to blame. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof ManifestError) return `its manifest is not valid: ${error.message}`;
  const isKnown =
    error instanceof Fault ||
    error instanceof WarmError ||
    error instanceof NoTagError ||
    error instanceof RefusedError;
  return isKnown ? error.message : undefined;
}
