import type { Digest } from "../../oci/digest.ts";
import { ATTESTATION } from "../../oci/platform-match.ts";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { allTags } from "../retention/all-tags.ts";
import type { ManifestTrees } from "../retention/manifest-trees.ts";
import { SingleFlight } from "../single-flight.ts";

/** How many images are looked at. */
const MAX_IMAGES = 500;
/** A platform of fewer images than a tenth of those of the most common one was looked at, and is not in use. */
const MIN_SHARE = 0.1;
/** How long the answer holds, in milliseconds. */
const TTL_MS = 600_000;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/** That of this machine, as images name it. */
export const OWN_PLATFORM = `linux/${ARCHITECTURES[process.arch] ?? process.arch}`;

/**
 * The platforms for which images are pulled through this cache: of an image with several, clients fetch the
 * manifest of their own. Without such images, it is that of this machine.
 */
export class PlatformsInUse {
  readonly #metadata: Pick<MetadataStore, "tags">;
  readonly #trees: Pick<ManifestTrees, "read">;
  readonly #now: () => number;
  readonly #flights = new SingleFlight<readonly string[]>();
  #known: { readonly platforms: readonly string[]; readonly until: number } | undefined;

  /** @param now a monotonic clock, in milliseconds */
  constructor(
    metadata: Pick<MetadataStore, "tags">,
    trees: Pick<ManifestTrees, "read">,
    now: () => number = () => performance.now(),
  ) {
    this.#metadata = metadata;
    this.#trees = trees;
    this.#now = now;
  }

  /** In order of their names; at least one. */
  async list(): Promise<readonly string[]> {
    if (this.#known && this.#now() < this.#known.until) return this.#known.platforms;
    return this.#flights.run("", async () => {
      const platforms = await this.#find();
      this.#known = { platforms, until: this.#now() + TTL_MS };
      return platforms;
    });
  }

  async #find(): Promise<readonly string[]> {
    const counts = new Map<string, number>();
    const seen = new Set<Digest>();
    for await (const { digest } of allTags(this.#metadata.tags)) {
      if (seen.size >= MAX_IMAGES) break;
      if (seen.has(digest)) continue;
      seen.add(digest);
      const tree = await this.#trees.read(digest);
      if (!tree?.isIndex) continue;
      for (const { platform, isCached } of tree.platforms) {
        if (!isCached || platform === undefined || platform === ATTESTATION) continue;
        counts.set(platform, (counts.get(platform) ?? 0) + 1);
      }
    }
    const least = Math.max(0, ...counts.values()) * MIN_SHARE;
    const found = [...counts].filter(([, count]) => count >= least).map(([platform]) => platform);
    return found.length === 0 ? [OWN_PLATFORM] : found.toSorted();
  }
}
