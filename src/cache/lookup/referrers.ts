import { z } from "zod";
import { Accept } from "../../oci/accept.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseTag } from "../../oci/names.ts";
import type { Index, Place } from "../../store/metadata-store.ts";
import type { Listed, Listings } from "./list-cache.ts";
import type { ManifestPulls } from "./manifest-lookup.ts";
import type { Upstream } from "../upstream.ts";

/** A descriptor as the registry sent it: annotations and all are the client's business. */
export type Descriptor = Readonly<Record<string, unknown>>;

const descriptors = z.array(z.record(z.string(), z.unknown()));
const index = z.object({ manifests: descriptors.nullish() });

/** What refers to a manifest: signatures, bills of materials (distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #index: Index;
  readonly #listings: Listings;
  readonly #pulls: ManifestPulls;

  constructor(facts: Index, listings: Listings, pulls: ManifestPulls) {
    this.#index = facts;
    this.#listings = listings;
    this.#pulls = pulls;
  }

  /** @throws Fault */
  list(upstream: Upstream, place: Place, digest: Digest): Promise<Listed<readonly Descriptor[]>> {
    return this.#listings.get<readonly Descriptor[]>({
      upstream,
      place,
      key: `referrers ${digest}`,
      ask: async () =>
        (await upstream.registry.referrers(place.repository, digest)) ??
        this.#byTag(upstream, place, digest),
      parse: (body) => descriptors.parse(JSON.parse(body)),
      // Answers about digests that nobody pulled would let anyone fill the disk.
      keep: async () => (await this.#index.links.get(place, digest)) !== undefined,
    });
  }

  /** The "referrers tag schema", for registries that lack the API. */
  async #byTag(upstream: Upstream, place: Place, digest: Digest): Promise<readonly Descriptor[]> {
    const tag = parseTag(`${digestAlgorithm(digest)}-${digestHex(digest).slice(0, 64)}`);
    if (!tag) return [];
    try {
      const { manifest } = await this.#pulls.get(upstream, place, tag, new Accept(null));
      const body: unknown = JSON.parse(new TextDecoder().decode(manifest.bytes));
      return index.parse(body).manifests ?? [];
    } catch (error) {
      if (error instanceof Fault && error.detail.kind === "unknown") return [];
      throw error;
    }
  }
}
