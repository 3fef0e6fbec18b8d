import { type WarmCache } from "../../../warm/manifest-walk.ts";
import type { Upstream } from "../../../cache/upstream.ts";
import type { WarmList } from "../../../config/warm/warm-schema.ts";
import type { UpstreamName } from "../../../oci/names.ts";
import type { WantedImage, WantedImages } from "../../../readiness/wanted.ts";
import { Patience } from "../../../warm/patience.ts";
import { selectImages } from "../../../warm/select-images.ts";
import { WarmError } from "../../../warm/warm-error.ts";

/** The images of the configured lists. Ranges are looked up in the lists of tags that are cached. */
export class ListedImages implements WantedImages {
  readonly name = "lists";
  readonly #lists: () => readonly WarmList[];
  readonly #cache: Pick<WarmCache, "tagLists">;
  readonly #upstreams: { get(name: UpstreamName): Upstream | undefined };

  constructor(
    lists: () => readonly WarmList[],
    cache: Pick<WarmCache, "tagLists">,
    upstreams: { get(name: UpstreamName): Upstream | undefined },
  ) {
    this.#lists = lists;
    this.#cache = cache;
    this.#upstreams = upstreams;
  }

  async *list(signal: AbortSignal): AsyncGenerator<WantedImage> {
    for (const { name, images, platforms, max } of this.#lists()) {
      const chosen = await selectImages(images, {
        max,
        cache: this.#cache,
        // Nothing is waited for: what is known is what counts.
        patience: new Patience({ signal, tell: () => {}, isPatient: false }),
        upstream: (upstream) => {
          const found = this.#upstreams.get(upstream);
          if (!found) throw new WarmError(`${upstream} is not cached here`);
          return found;
        },
        failed: () => {},
        cut: () => {},
      });
      const own = platforms.includes("all") ? [] : platforms;
      for (const { image } of chosen) {
        yield { image, by: `list ${name}`, ...(own.length > 0 ? { platforms: own } : {}) };
      }
    }
  }
}
