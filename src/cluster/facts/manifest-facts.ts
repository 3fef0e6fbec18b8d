import type { NearManifest, NearSources } from "../../cache/fetch/near-sources.ts";
import type { ManifestNews } from "../../cache/lookup/manifest-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ManifestFact } from "../ledger/facts.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { RecentPurges } from "./recent-purges.ts";

export interface ManifestFactsOptions {
  readonly ledger: Pick<Ledger, "manifest" | "tell">;
  readonly purges: Pick<RecentPurges, "wasPurgedSince">;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** What replicas tell each other of manifests: in which repositories their upstreams gave them. */
export class ManifestFacts implements ManifestNews {
  readonly #options: ManifestFactsOptions;
  readonly #now: () => number;

  constructor(options: ManifestFactsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  given(
    repo: RepositoryRef,
    manifest: Pick<ManifestFact, "digest" | "size" | "mediaType">,
    ageMs: number,
  ): void {
    this.#options.ledger.tell({ kind: "manifest", repo, ...manifest, ageMs });
  }

  /**
   * What is near, with manifests of which the ledger says that they may be seen in a repository: a store that
   * has their bytes cannot say so.
   */
  vouchedFor(near: NearSources): NearSources {
    return {
      of: (place, digest, size) => near.of(place, digest, size),
      manifest: async (place, digest) => {
        const found = await near.manifest(place, digest);
        return found && found.answeredAgo === undefined ? this.#vouch(place, digest, found) : found;
      },
    };
  }

  async #vouch(place: RepositoryRef, digest: Digest, found: NearManifest): Promise<NearManifest> {
    const known = await this.#options.ledger.manifest(place, digest);
    if (!known) return found;
    const { ageMs, mediaType } = known;
    const isPurged = this.#options.purges.wasPurgedSince({ ...place, digest }, this.#now() - ageMs);
    return isPurged ? found : { ...found, mediaType, answeredAgo: ageMs };
  }
}
