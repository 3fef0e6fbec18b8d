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

/** A descriptor exactly as the registry sent it, annotations included: only the client interprets it. */
export type Descriptor = Readonly<Record<string, unknown>>;

const descriptorsSchema = z.array(z.record(z.string(), z.unknown()));
const indexSchema = z.object({ manifests: descriptorsSchema.nullish() });

/** Lists the referrers of a manifest, such as signatures and SBOMs (distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #metadata: Pick<PullMetadata, "links">;
  readonly #lists: ListCache;
  readonly #manifests: ManifestLookup;

  constructor(metadata: Pick<PullMetadata, "links">, lists: ListCache, manifests: ManifestLookup) {
    this.#metadata = metadata;
    this.#lists = lists;
    this.#manifests = manifests;
  }

  /** @throws Fault */
  list(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<CachedList<readonly Descriptor[]>> {
    return this.#lists.get<readonly Descriptor[]>({
      upstream,
      repo,
      key: `referrers ${digest}`,
      fetch: async () =>
        (await upstream.registry.referrers(repo.repository, digest)) ??
        this.#byTag(upstream, repo, digest),
      parse: (body) => descriptorsSchema.parse(JSON.parse(body)),
      write: (descriptors) => JSON.stringify(descriptors),
      sizeOf: (descriptors) => JSON.stringify(descriptors).length,
      // Only for digests that were pulled: otherwise a client could fill the disk with made-up ones.
      shouldStore: async () => (await this.#metadata.links.get(repo, digest)) !== undefined,
      // An image may be signed right after somebody looked for signatures, who then looks again.
      isUsable: (descriptors) => descriptors.length > 0,
    });
  }

  /** The "referrers tag schema" of the distribution-spec, for registries without the referrers API. */
  async #byTag(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<readonly Descriptor[]> {
    const tag = parseTag(`${digestAlgorithm(digest)}-${digestHex(digest).slice(0, 64)}`);
    if (!tag) return [];
    try {
      const any = new Accept(null);
      const { manifest } = await this.#manifests.get(upstream, repo, tag, any, true);
      const body: unknown = JSON.parse(new TextDecoder().decode(manifest.bytes));
      return indexSchema.parse(body).manifests ?? [];
    } catch (error) {
      if (error instanceof Fault && error.detail.kind === "not-found") return [];
      throw error;
    }
  }
}
