import { imageName, type ImageReference } from "../oci/image-reference.ts";
import { printable } from "../printable.ts";
import type { ReadinessReport } from "../api/readiness.ts";
import type { WantedImage, WantedImages } from "./wanted.ts";

/** The most images that are looked at: some 10 MB. */
const MAX_IMAGES = 20_000;
/** How many who want an image are named. */
const MAX_NAMED = 10;

/** An image, with all who want it. */
export interface Wish {
  readonly image: ImageReference;
  readonly platforms: string[];
  readonly by: string[];
}

export interface Wishes {
  readonly wishes: readonly Wish[];
  readonly sources: ReadinessReport["sources"];
  /** How many were left out, since they are too many. */
  readonly cut: number;
}

/** What all sources want. One that cannot be read still wants what it wanted before. */
export class Sources {
  readonly #sources: readonly WantedImages[];
  readonly #known = new Map<WantedImages, readonly WantedImage[]>();

  constructor(sources: readonly WantedImages[]) {
    this.#sources = sources;
  }

  async read(signal: AbortSignal): Promise<Wishes> {
    const wishes = new Map<string, Wish>();
    let cut = 0;
    const sources: ReadinessReport["sources"][number][] = [];
    for (const source of this.#sources) {
      if (source.isConfigured === false) continue;
      const problem = await this.#refresh(source, signal);
      const known = this.#known.get(source) ?? [];
      for (const wanted of known) if (!add(wishes, wanted)) cut += 1;
      const { name } = source;
      const unread = this.#known.has(source) ? {} : { unread: true };
      const failed = problem === undefined ? {} : { problem, ...unread };
      sources.push({ name, images: known.length, ...failed });
    }
    return { wishes: [...wishes.values()], sources, cut };
  }

  /** @returns why the source could not be read */
  async #refresh(source: WantedImages, signal: AbortSignal): Promise<string | undefined> {
    const images: WantedImage[] = [];
    try {
      for await (const wanted of source.list(signal)) {
        if (images.length < MAX_IMAGES) images.push(wanted);
      }
      this.#known.set(source, images);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      return printable(error instanceof Error ? error.message : String(error));
    }
  }
}

/** Whether there was room for it. */
function add(wishes: Map<string, Wish>, { image, by, platforms = [] }: WantedImage): boolean {
  const name = imageName(image);
  const known = wishes.get(name);
  if (!known) {
    if (wishes.size >= MAX_IMAGES) return false;
    wishes.set(name, { image, by: [by], platforms: [...platforms] });
    return true;
  }
  if (known.by.length < MAX_NAMED && !known.by.includes(by)) known.by.push(by);
  for (const platform of platforms) {
    if (!known.platforms.includes(platform)) known.platforms.push(platform);
  }
  return true;
}
