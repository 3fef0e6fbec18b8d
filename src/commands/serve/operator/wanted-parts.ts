import { join } from "node:path";
import type { Cache } from "../../../cache/cache.ts";
import { PlatformsInUse } from "../../../cache/platforms/platforms-in-use.ts";
import type { Storage } from "../../../cache/retention/storage.ts";
import type { Settings } from "../../../config/settings.ts";
import type { Digest } from "../../../oci/digest.ts";
import { type ImageReference, imageName } from "../../../oci/image-reference.ts";
import type { z } from "zod";
import type { Job } from "../../../api/jobs.ts";
import type { readinessFixSchema, ReadinessReport } from "../../../api/readiness.ts";
import { PulledImages, type PulledImagesOptions } from "../../../readiness/pulled-images.ts";
import { type Lacking, Readiness } from "../../../readiness/readiness.ts";
import type { WantedImage, WantedImages } from "../../../readiness/wanted.ts";
import type { Jobs } from "../../../server/api/jobs/job-table.ts";
import type { Operation } from "../../../server/api/operation.ts";
import { readinessOperations } from "../../../server/api/operations/readiness.ts";
import { warmOperations } from "../../../server/api/operations/warm.ts";
import { ProblemError } from "../../../server/api/problem-details.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import { ListPins } from "../../../warm/list-pins.ts";
import { PendingOrders } from "../../../warm/pending-orders.ts";
import { StateFile } from "../../../warm/state-file.ts";
import type { WarmItem } from "../../../warm/select-images.ts";
import type { Upstreams } from "../upstreams.ts";
import { mustBePlatforms, requestedImage } from "./requested-images.ts";
import { Warming } from "./warming.ts";
import { ListedImages } from "./wanted-sources.ts";

/** How long after the start it is looked at first what is ready, and how often then, in milliseconds. */
const FIRST_LOOK_MS = 60_000;
const LOOK_MS = 600_000;

type WantedSettings = Pick<Settings, "warm" | "pulledWithin">;

export interface WantedOptions {
  readonly settings: WantedSettings;
  readonly storage: Pick<Storage, "admin" | "budget" | "metadata" | "path" | "pinned" | "trees">;
  readonly cache: Cache;
  readonly upstreams: Upstreams;
  readonly jobs: Jobs;
  readonly metrics: Metrics;
  readonly log: Log;
  /** What clients pulled since then, in milliseconds of the epoch. */
  readonly pulledSince: PulledImagesOptions["pulledSince"];
  /** What knows further images: a cluster. */
  readonly sources?: readonly WantedImages[];
}

/** What is wanted of this cache before anybody pulls it: warms it, and tells whether it is all here. */
export class Wanted implements Disposable {
  readonly readiness: Readiness;
  readonly operations: readonly Operation[];
  /** The configured lists for which a pin was made. */
  readonly listsOf: ListPins["listsOf"];
  readonly #options: WantedOptions;
  readonly #platforms: PlatformsInUse;
  readonly #sources: readonly WantedImages[];
  readonly #warming: Warming;
  readonly #closing = new AbortController();
  #settings: WantedSettings;
  #timer: ReturnType<typeof setTimeout>;

  constructor(options: WantedOptions) {
    const { settings, storage, cache, upstreams, jobs, metrics, log, sources = [] } = options;
    const { pulledSince } = options;
    this.#options = options;
    this.#settings = settings;
    this.#platforms = new PlatformsInUse(storage.metadata, storage.trees);
    const { metadata, trees } = storage;
    const servedDigest = cache.servedDigest.bind(cache);
    this.#sources = [
      ...sources,
      new ListedImages(() => this.#settings.warm ?? [], cache, upstreams.all),
      new PulledImages({
        metadata,
        trees,
        servedDigest,
        pulledSince,
        within: () => this.#settings.pulledWithin,
      }),
    ];
    this.readiness = new Readiness({
      metadata,
      trees,
      servedDigest,
      upstreams: upstreams.all,
      sources: this.#sources,
      platformsInUse: () => this.#platforms.list(),
      isPinned: () => this.#isPinned(),
    });
    const stateFile = (name: string): StateFile => new StateFile(join(storage.path, name));
    const listPins = new ListPins(stateFile("warm-pins.json"), storage.admin.pinning);
    this.listsOf = listPins.listsOf.bind(listPins);
    this.#warming = new Warming({
      jobs,
      log,
      pins: listPins,
      pending: new PendingOrders(stateFile("warm-orders.json")),
      parts: {
        cache,
        upstreams: upstreams.all,
        platformsInUse: () => this.#platforms.list(),
        maxSize: () => storage.budget.limits.maxSize,
        pin: (image, platforms) => storage.admin.pinning.pin(imageName(image), platforms),
      },
      mustKnow: (source) => void this.#source(source),
      imagesOf: (source, signal) => this.#imagesOf(source, signal),
      onWarmed: () => this.#lookSoon(),
    });
    this.#warming.configure(settings.warm ?? []);
    this.#timer = this.#lookIn(FIRST_LOOK_MS);
    this.operations = [
      ...warmOperations({ warm: this.#warming.forApi }),
      ...readinessOperations({
        readiness: {
          report: (isFresh, signal) => this.#report(isFresh, signal),
          ask: (question, signal) => this.#ask(question, signal),
          fix: (wanted) => this.#fix(wanted),
        },
      }),
    ];
    this.#measure(metrics);
    this.readiness.onFell((fell) => {
      const { upstream, before: previousRatio, ratio, images: missing } = fell;
      log.warn({ upstream, previousRatio, ratio, missing }, "fewer of the wanted images are here");
    });
  }

  /** Applies a changed configuration. */
  configure(settings: WantedSettings): void {
    this.#settings = settings;
    this.#warming.configure(settings.warm ?? []);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#warming[Symbol.dispose]();
    this.#closing.abort(new Error("the cache is stopping"));
  }

  /** @throws ProblemError if nothing is known of it */
  #source(name: string): WantedImages {
    const source = this.#sources.find((one) => one.name === name && one.isConfigured !== false);
    if (source) return source;
    const detail = `nothing is known of a ${name} here`;
    throw new ProblemError({ status: 409, detail, next: NEXT_STEPS[name] ?? "name images" });
  }

  /** What is wanted of a source, now. */
  async #imagesOf(name: string, signal: AbortSignal): Promise<WarmItem[]> {
    const source = this.#source(name);
    const items: WarmItem[] = [];
    for await (const wanted of source.list(signal)) items.push(itemOf(wanted));
    return items;
  }

  async #report(isFresh: boolean, signal: AbortSignal): Promise<ReadinessReport> {
    const { latest } = this.readiness;
    if (latest && !isFresh) return latest;
    // Who asks may go away, and others wait for the same look.
    const looking = this.readiness.check(this.#closing.signal);
    signal.throwIfAborted();
    return looking;
  }

  async #ask(
    {
      images: texts,
      platforms,
    }: { readonly images: readonly string[]; readonly platforms: readonly string[] },
    signal: AbortSignal,
  ): Promise<ReadinessReport> {
    mustBePlatforms(platforms);
    const images = texts.map(requestedImage);
    // An empty list stands for those in use here.
    const wanted = platforms.includes("all") ? [] : platforms;
    return this.readiness.checkImages(images, wanted, signal);
  }

  /** @throws ProblemError */
  async #fix({ images: texts, platforms }: z.infer<typeof readinessFixSchema>): Promise<Job> {
    mustBePlatforms(platforms);
    if (texts.length === 0) await this.readiness.check(this.#closing.signal);
    const lacking =
      texts.length > 0 ? texts.map(requestedImage).map(alone) : this.readiness.lacking;
    if (lacking.length === 0) {
      const detail = "all images that are wanted, and can be had, are here";
      throw new ProblemError({ status: 409, detail, next: "nothing needs to be done" });
    }
    return this.#warming.fix(lacking.map(itemOf), platforms);
  }

  /** What the cluster runs is kept as if it were pinned. */
  async #isPinned(): Promise<(image: ImageReference, digest: Digest) => boolean> {
    const pinned = await this.#options.storage.pinned.current();
    return (_, digest) => pinned.has(digest);
  }

  /** A look that is due soon anyway is made earlier: what was warmed is ready. */
  #lookSoon(): void {
    clearTimeout(this.#timer);
    if (!this.#closing.signal.aborted) this.#timer = this.#lookIn(0);
  }

  #lookIn(milliseconds: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => void this.#look(), milliseconds).unref();
  }

  async #look(): Promise<void> {
    const { signal } = this.#closing;
    // What fails is tried again; a store that cannot be read is told elsewhere.
    await this.readiness.check(signal).catch(() => {});
    if (!signal.aborted) this.#timer = this.#lookIn(LOOK_MS);
  }

  #measure(metrics: Metrics): void {
    const each = (read: (upstream: ReadinessReport["upstreams"][number]) => number) => () =>
      (this.readiness.latest?.upstreams ?? []).map((upstream) => {
        return { labels: [upstream.name], value: read(upstream) };
      });
    metrics.gauges(
      "entrepot_readiness_ratio",
      "The part of the wanted images of the upstream that could be pulled whole if it did not answer.",
      ["upstream"],
      each(({ ratio }) => ratio),
    );
    metrics.gauges(
      "entrepot_wanted_source_unread",
      "1 while a source of wanted images was never read, so that nobody knows what it wants, else 0.",
      ["source"],
      () =>
        (this.readiness.latest?.sources ?? []).map(({ name, unread = false }) => ({
          labels: [name],
          value: unread ? 1 : 0,
        })),
    );
    metrics.gauges(
      "entrepot_wanted_images",
      "Images of the upstream that are wanted: they run, are listed, or were pulled of late.",
      ["upstream"],
      each(({ wanted }) => wanted),
    );
  }
}

function alone(image: ImageReference): Lacking {
  return { image, platforms: [] };
}

function itemOf({ image, platforms = [] }: WantedImage | Lacking): WarmItem {
  const item = { kind: "image", text: imageName(image), image } as const;
  return platforms.length > 0 ? Object.assign({ platforms }, item) : item;
}

const NEXT_STEPS: Readonly<Record<string, string>> = {
  cluster: "add kubernetes to the configuration of the cache, or name images",
  lists: "add lists under warm to the configuration of the cache, or name images",
};
