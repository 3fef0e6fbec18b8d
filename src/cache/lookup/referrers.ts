import { z } from "zod";
import { Accept } from "../../oci/accept.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseTag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { CachedList, ListCache } from "./list-cache.ts";
import type { ManifestLookup } from "./manifest-lookup.ts";
import type { Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** A descriptor as the registry sent it: annotations and all are the client's business. */
export type Descriptor = Readonly<Record<string, unknown>>;

const descriptors = z.array(z.record(z.string(), z.unknown()));
const index = z.object({ manifests: descriptors.nullish() });

/** What refers to a manifest: signatures, bills of materials (distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #metadata: Pick<PullMetadata, "links">;
  readonly #listings: ListCache;
  readonly #pulls: ManifestLookup;

  constructor(facts: Pick<PullMetadata, "links">, listings: ListCache, pulls: ManifestLookup) {
    this.#metadata = facts;
    this.#listings = listings;
    this.#pulls = pulls;
  }

  /** @throws Fault */
  list(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<CachedList<readonly Descriptor[]>> {
    return this.#listings.get<readonly Descriptor[]>({
      upstream,
      repo,
      key: `referrers ${digest}`,
      fetch: async () =>
        (await upstream.registry.referrers(repo.repository, digest)) ??
        this.#byTag(upstream, repo, digest),
      parse: (body) => descriptors.parse(JSON.parse(body)),
      // Answers about digests that nobody pulled would let anyone fill the disk.
      mayStore: async () => (await this.#metadata.links.get(repo, digest)) !== undefined,
    });
  }

  /** The "referrers tag schema", for registries that lack the API. */
  async #byTag(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<readonly Descriptor[]> {
    const tag = parseTag(`${digestAlgorithm(digest)}-${digestHex(digest).slice(0, 64)}`);
    if (!tag) return [];
    try {
      const { manifest } = await this.#pulls.get(upstream, repo, tag, new Accept(null));
      const body: unknown = JSON.parse(new TextDecoder().decode(manifest.bytes));
      return index.parse(body).manifests ?? [];
    } catch (error) {
      if (error instanceof Fault && error.detail.kind === "not-found") return [];
      throw error;
    }
  }
}
