import type { Upstream } from "../cache/upstream.ts";
import type { ImageSelector } from "../config/warm/image-selector.ts";
import { type ImageReference, imageName } from "../oci/image-reference.ts";
import type { UpstreamName } from "../oci/names.ts";
import type { WarmCache } from "./manifest-walk.ts";
import type { Patience } from "./patience.ts";

/** Tags that are looked at of one repository. */
const MAX_TAGS = 200_000;

/** An image that is wanted, or those of a range, and for which platforms if that is known. */
export type WarmItem = ImageSelector & { readonly platforms?: readonly string[] };

/** One image of an order. */
export interface ChosenImage {
  readonly image: ImageReference;
  readonly platforms?: readonly string[];
}

export interface SelectOptions {
  /** How many images a range of versions may select. */
  readonly max: number;
  readonly cache: Pick<WarmCache, "tagLists">;
  readonly patience: Patience;
  /** @throws Error if it is not configured */
  readonly upstream: (name: UpstreamName) => Upstream;
  /** A range of versions selects nothing, for this reason. */
  readonly failed: (selector: string, error: unknown) => void;
  /** More tags match a range than may be selected. */
  readonly cut: (selector: string, matching: number) => void;
}

/** The images that selectors stand for, each once. */
export async function selectImages(
  selectors: readonly WarmItem[],
  { max, cache, patience, upstream: find, failed, cut }: SelectOptions,
): Promise<ChosenImage[]> {
  const images = new Map<string, ChosenImage>();
  const add = (image: ImageReference, { platforms }: WarmItem): void => {
    const key = [imageName(image), ...(platforms ?? [])].join(" ");
    images.set(key, { image, ...(platforms ? { platforms } : {}) });
  };
  for (const selector of selectors) {
    if (selector.kind === "image") {
      add(selector.image, selector);
      continue;
    }
    const { upstream: name, repository } = selector;
    try {
      const upstream = find(name);
      const tags = await allTags(upstream, selector, { cache, patience });
      const selected = await selector.select(tags, max);
      if (selected.matching === 0) throw new NoTagError(repository, tags.length);
      if (selected.matching > max) cut(selector.text, selected.matching);
      for (const tag of selected.tags) add({ upstream: name, repository, tag }, selector);
    } catch (error) {
      failed(selector.text, error);
    }
  }
  return [...images.values()];
}

/** No tag of a repository matches. */
export class NoTagError extends Error {
  override readonly name = "NoTagError";

  constructor(repository: string, count: number) {
    super(`none of the ${count} tags of ${repository} matches`);
  }
}

async function allTags(
  upstream: Upstream,
  repo: Extract<ImageSelector, { kind: "tags" }>,
  { cache, patience }: Pick<SelectOptions, "cache" | "patience">,
): Promise<string[]> {
  const tags: string[] = [];
  const ref = { upstream: repo.upstream, repository: repo.repository };
  for (;;) {
    const last = tags.at(-1);
    const { value } = await patience.ask(upstream, "list", () =>
      cache.tagLists.page(upstream, ref, last === undefined ? {} : { last }),
    );
    for (const tag of value.tags) tags.push(tag);
    if (!value.more || value.tags.length === 0 || tags.length >= MAX_TAGS) return tags;
  }
}
