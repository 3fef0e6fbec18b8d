import { LRUCache } from "lru-cache";
import { Accept } from "../../oci/accept.ts";
import { type Digest, digestAlgorithm, digestHex } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { parseTag, type UpstreamName } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { CachedList, ListCache } from "./list-cache.ts";
import type { ManifestLookup } from "./manifest-lookup.ts";
import type { Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";
import {
  type Descriptor,
  readDescriptors,
  referrersKey,
  type ReferrersIndex,
  writeIndex,
} from "./referrers-index.ts";

/** Of so many it is remembered whether they have the API. */
const MAX_UPSTREAMS = 1000;

/** Lists the referrers of a manifest, such as signatures and SBOMs (distribution-spec, "Listing Referrers"). */
export class Referrers {
  readonly #metadata: Pick<PullMetadata, "links">;
  readonly #lists: ListCache;
  readonly #manifests: ManifestLookup;
  /** Upstreams that lacked the API when they were asked last. */
  readonly #lacking = new LRUCache<UpstreamName, true>(growingTo(MAX_UPSTREAMS));

  constructor(metadata: Pick<PullMetadata, "links">, lists: ListCache, manifests: ManifestLookup) {
    this.#metadata = metadata;
    this.#lists = lists;
    this.#manifests = manifests;
  }

  /**
   * @param asker the cache itself also asks for a digest that is still being stored
   * @throws Fault
   */
  list(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    asker: "GET" | "judge" = "GET",
  ): Promise<CachedList<ReferrersIndex>> {
    return this.#lists.get<ReferrersIndex>({
      upstream,
      repo,
      key: referrersKey(digest),
      fetch: async () => writeIndex(await this.#fetch(upstream, repo, digest)),
      parse: async (body) => writeIndex(await readDescriptors(body)),
      write: (index) => index.whole.text(),
      sizeOf: (index) => index.size,
      // Only for digests that were pulled: otherwise a client could fill the disk with made-up ones.
      // What a registry lists something for is none of these.
      shouldStore: async ({ isEmpty }) =>
        (asker === "judge" && !isEmpty) ||
        (await this.#metadata.links.get(repo, digest)) !== undefined,
      // An image may be signed right after somebody looked for signatures, who then looks again.
      isUsable: ({ isEmpty }) => !isEmpty,
    });
  }

  async #fetch(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<readonly Descriptor[]> {
    const { name } = upstream.settings;
    // It most likely still lacks the API: a round trip is saved, and no request is added.
    const tagged = this.#lacking.has(name) ? this.#byTag(upstream, repo, digest) : undefined;
    tagged?.catch(() => {});
    const listed = await upstream.registry.referrers(repo.repository, digest);
    if (listed) this.#lacking.delete(name);
    else this.#lacking.set(name, true);
    return listed ?? tagged ?? this.#byTag(upstream, repo, digest);
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
      const { manifest } = await this.#manifests.get(upstream, repo, tag, any, "judge");
      return await readDescriptors(new TextDecoder().decode(manifest.bytes));
    } catch (error) {
      // A manifest that is no list of referrers has none.
      if (error instanceof SyntaxError) return [];
      if (error instanceof Fault && error.detail.kind === "not-found") return [];
      throw error;
    }
  }
}
