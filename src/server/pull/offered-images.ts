import type { SmallImage, SmallImages } from "../../cache/retention/small-images.ts";
import type { Upstream } from "../../cache/upstream.ts";
import { SingleFlight } from "../../cache/single-flight.ts";
import type { Namespaces } from "./namespaces.ts";
import { isAllowed } from "../../cache/policy.ts";
import { accessMode } from "../../config/access/access-settings.ts";

/** An image that a node can pull from this cache, to prove its wiring. */
export interface OfferedImage {
  readonly namespace: string;
  /** By digest, so that a pull of it changes no tag on the node and asks no upstream. */
  readonly reference: string;
  /** In bytes. */
  readonly size: number;
}

/** Of nodes. Any other name would start a search of its own. */
const PLATFORMS: ReadonlySet<string> = new Set(
  ["amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64"].map((it) => `linux/${it}`),
);

/**
 * Names one small image of each upstream that the cache can serve by itself. Every node of this cache
 * can pull them: they are allowed by the configuration, and in the catalog of their upstream.
 */
export class OfferedImages {
  readonly #images: SmallImages;
  readonly #namespaces: Namespaces;
  /** One search at a time answers a fleet that is wired at once. */
  readonly #searches = new SingleFlight<SmallImage[]>();

  constructor(images: SmallImages, namespaces: Namespaces) {
    this.#images = images;
    this.#namespaces = namespaces;
  }

  /**
   * @param platform such as `linux/amd64`; of an unknown one, nothing is offered
   * @param port the upstream of the port at which they are offered, if it belongs to one
   * @throws Fault if the metadata cannot be read
   */
  async list(platform: string, port: Upstream | undefined): Promise<OfferedImage[]> {
    if (!PLATFORMS.has(platform)) return [];
    const found = await this.#searches.run(platform, () => this.#find(platform));
    const names = new Set(this.#namespaces.namesAt(port));
    const served = found.filter(({ upstream }) => names.has(upstream));
    return served.map(({ upstream, repository, digest, size }) => {
      return { namespace: upstream, reference: `${upstream}/${repository}@${digest}`, size };
    });
  }

  async #find(platform: string): Promise<SmallImage[]> {
    const found: SmallImage[] = [];
    for (const settings of this.#namespaces.settings) {
      const image = await this.#images.find({
        upstream: settings.name,
        platform,
        // Whoever asks shows no credentials.
        isAllowed: (repository) =>
          isAllowed(settings, repository) && accessMode(settings.access, repository) === "open",
      });
      if (image) found.push(image);
    }
    return found;
  }
}
