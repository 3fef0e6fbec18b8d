import type { Digest } from "../oci/digest.ts";
import { EventLoopYielder } from "../event-loop/event-loop-yielder.ts";
import { SingleFlight } from "../cache/single-flight.ts";
import { type ImageReference, imageName } from "../oci/image-reference.ts";
import type { ReadinessReport, WantedImageState } from "../api/readiness.ts";
import { imageReadiness, type ImageReadinessParts } from "./image-readiness.ts";
import { Sources, type Wish } from "./sources.ts";
import type { WantedImages } from "./wanted.ts";

/** The share of the time of this thread that a look at all images takes, for which nobody may be waiting. */
const SHARE = 0.5;

export interface ReadinessParts extends ImageReadinessParts {
  /** Where it is known from what is wanted. */
  readonly sources: readonly WantedImages[];
  readonly platformsInUse: () => Promise<readonly string[]>;
  readonly isPinned: () => Promise<(image: ImageReference, digest: Digest) => boolean>;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
}

/** An image that is not ready, and for which platforms it is wanted, if its sources know. */
export interface Lacking {
  readonly image: ImageReference;
  readonly platforms: readonly string[];
}

/** Fewer of the wanted images of an upstream are ready than before. */
export interface ReadinessFell {
  readonly upstream: string;
  readonly before: number;
  readonly ratio: number;
  /** Those that are not ready, ten at most. */
  readonly images: readonly string[];
}

/** Whether all that is wanted could be pulled if its registries did not answer. */
export class Readiness {
  readonly #parts: ReadinessParts;
  readonly #sources: Sources;
  readonly #now: () => number;
  readonly #flights = new SingleFlight<ReadinessReport>();
  readonly #listeners: ((fell: ReadinessFell) => void)[] = [];
  #latest: ReadinessReport | undefined;
  #lacking: readonly Lacking[] = [];

  constructor(parts: ReadinessParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    this.#sources = new Sources(parts.sources);
  }

  /** As it was when it was last looked at; `undefined` if it never was. */
  get latest(): ReadinessReport | undefined {
    return this.#latest;
  }

  /** What was missing at the last look, and can be had. */
  get lacking(): readonly Lacking[] {
    return this.#lacking;
  }

  /** Calls a listener whenever a look finds fewer images ready than the one before. */
  onFell(listener: (fell: ReadinessFell) => void): void {
    this.#listeners.push(listener);
  }

  /** Looks at every image that is wanted. Callers at the same time share one look. */
  check(signal: AbortSignal): Promise<ReadinessReport> {
    return this.#flights.run("", async () => {
      const { wishes, sources, cut } = await this.#sources.read(signal);
      const items = await this.#look(wishes, new EventLoopYielder(SHARE), signal);
      this.#lacking = wishes.filter((_, at) => isLacking(items[at]));
      const known = withUnread(reportOf(items, this.#now()), sources);
      const report = { ...known, sources, ...(cut > 0 ? { cut } : {}) };
      const before = this.#latest;
      this.#latest = report;
      if (before) this.#compare(before, report);
      return report;
    });
  }

  /** Looks at these images, whoever wants them. */
  async checkImages(
    images: readonly ImageReference[],
    platforms: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadinessReport> {
    const wishes = images.map((image) => ({ image, platforms: [...platforms], by: ["you"] }));
    return {
      ...reportOf(await this.#look(wishes, new EventLoopYielder(), signal), this.#now()),
      sources: [],
    };
  }

  async #look(
    wishes: readonly Wish[],
    turns: EventLoopYielder,
    signal: AbortSignal,
  ): Promise<WantedImageState[]> {
    const [inUse, isPinned] = [await this.#parts.platformsInUse(), await this.#parts.isPinned()];
    const items: WantedImageState[] = [];
    for (const { image, platforms, by } of wishes) {
      signal.throwIfAborted();
      const wanted = platforms.length > 0 ? platforms : inUse;
      const found = await imageReadiness(image, wanted, this.#parts, this.#now());
      const { digest, ...rest } = found;
      const pinned = digest && isPinned(image, digest) ? { pinned: true } : {};
      const known = digest ? { digest } : {};
      items.push({ image: imageName(image), wantedBy: by, ...known, ...rest, ...pinned });
      await turns.pause();
    }
    return items;
  }

  #compare(before: ReadinessReport, now: ReadinessReport): void {
    for (const { name, ratio } of now.upstreams) {
      const known = before.upstreams.find((upstream) => upstream.name === name);
      if (!known || ratio >= known.ratio) continue;
      const lost = now.items.filter(
        ({ image, state }) => image.startsWith(`${name}/`) && state !== "ready",
      );
      const images = lost.slice(0, 10).map(({ image }) => image);
      const fell = { upstream: name, before: known.ratio, ratio, images };
      for (const listener of this.#listeners) listener(fell);
    }
  }
}

function isLacking(item: WantedImageState | undefined): boolean {
  return item?.state === "partial" || item?.state === "missing";
}

function reportOf(
  all: readonly WantedImageState[],
  checkedAt: number,
): Omit<ReadinessReport, "sources"> {
  // Those are another's: nothing here could make them ready.
  const uncached = all.filter(({ state }) => state === "uncached");
  const items = all.filter(({ state }) => state !== "uncached");
  const byName = new Map<string, { wanted: number; ready: number }>();
  for (const { image, state } of items) {
    const name = image.slice(0, image.indexOf("/"));
    const counts = byName.get(name) ?? { wanted: 0, ready: 0 };
    counts.wanted += 1;
    if (state === "ready") counts.ready += 1;
    byName.set(name, counts);
  }
  const ready = items.filter(({ state }) => state === "ready");
  const upstreams = [...byName].map(([name, { wanted, ready: count }]) => {
    return { name, wanted, ready: count, ratio: ratioOf({ wanted, ready: count }) };
  });
  const counts = { wanted: items.length, ready: ready.length };
  return {
    checkedAt,
    ...counts,
    ratio: ratioOf(counts),
    uncached: uncached.length,
    sentence: sentenceOf(upstreams, uncached.length),
    upstreams: upstreams.toSorted((one, other) => one.ratio - other.ratio),
    items: [...items.filter(({ state }) => state !== "ready"), ...uncached, ...ready],
  };
}

/** What was never read may want anything: nothing is ready of what is not known. */
function withUnread(
  report: Omit<ReadinessReport, "sources">,
  sources: ReadinessReport["sources"],
): Omit<ReadinessReport, "sources"> {
  const names = sources.filter(({ unread }) => unread).map(({ name }) => name);
  if (names.length === 0) return report;
  const unknown = `What is wanted of ${names.join(", ")} is not known: not read yet.`;
  if (report.wanted === 0) return { ...report, ratio: 0, sentence: unknown };
  return { ...report, sentence: `${unknown} ${report.sentence}` };
}

function ratioOf({ wanted, ready }: { readonly wanted: number; readonly ready: number }): number {
  return wanted === 0 ? 1 : ready / wanted;
}

/** The registry whose end would cost most comes first. */
function sentenceOf(
  upstreams: readonly { readonly name: string; readonly wanted: number; readonly ready: number }[],
  uncached: number,
): string {
  const wanted = upstreams.reduce((sum, upstream) => sum + upstream.wanted, 0);
  if (wanted === 0 && uncached > 0) return "Nothing that is wanted is cached here.";
  if (wanted === 0)
    return "No image is wanted: nothing is known that runs, is listed or was pulled of late.";
  const lacking = upstreams
    .map(({ name, wanted: all, ready }) => ({ name, wanted: all, lost: all - ready }))
    .filter(({ lost }) => lost > 0)
    .toSorted((one, other) => other.lost - one.lost);
  const [worst, ...others] = lacking;
  if (!worst) {
    return wanted === 1
      ? "The one image that is wanted is here: it starts while its registry is down."
      : `All ${wanted} images that are wanted are here: they start while their registries are down.`;
  }
  const more = others
    .map(({ name, lost, wanted: all }) => `${lost} of ${all} of ${name}`)
    .join(", ");
  if (wanted === 1)
    return `If ${worst.name} died now, the one image that is wanted would not start.`;
  const first = `If ${worst.name} died now, ${worst.lost} of its ${worst.wanted} images would not start`;
  return more === "" ? `${first}.` : `${first}; the same goes for ${more}.`;
}
