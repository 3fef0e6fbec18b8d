import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { NearSources } from "../fetch/near-sources.ts";
import { UpstreamSource } from "../fetch/upstream-source.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import { startFill } from "../lookup/fill-waits.ts";
import { keyOf, type ManifestStore } from "../lookup/manifest-store.ts";
import type { NegativeCache } from "../lookup/negative-cache.ts";
import type { PullMetadata } from "../lookup/pull-metadata.ts";
import { blobKey, type RepositoryAccess } from "../lookup/repository-access.ts";
import type { StoredManifest } from "../results.ts";
import { isBypassed, type Upstream } from "../upstream.ts";

/** What another replica may have, and how long ago the upstream answered for its place, in milliseconds. */
export interface Shown {
  readonly answeredAgo: number;
}

export interface StoredShare extends Shown {
  readonly kind: "stored";
  readonly blob: StoredBlob;
}

export interface FillingShare extends Shown {
  readonly kind: "filling";
  readonly fill: Fill;
}

export interface SharedManifest extends Shown {
  readonly manifest: StoredManifest;
}

/** A place that a replica asks about. */
export interface AskedPlace {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
  readonly digest: Digest;
}

export interface ReplicaLookupOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<PullMetadata, "links">;
  readonly access: RepositoryAccess;
  readonly fills: Fills;
  readonly manifests: ManifestStore;
  readonly negativeCache: NegativeCache;
  readonly recordAccess: (digest: Digest) => void;
}

/**
 * What other replicas of this cache ask for. They get what one of their clients would get here, and nothing of
 * a place of which this cache does not know, or learns from the upstream, that it may be seen there.
 */
export class ReplicaLookup {
  readonly #options: ReplicaLookupOptions;

  constructor(options: ReplicaLookupOptions) {
    this.#options = options;
  }

  /** A blob that is here, or is being downloaded, if it may be shown without asking the upstream. */
  async blobHere(place: AskedPlace): Promise<StoredShare | FillingShare | undefined> {
    const { store, fills, recordAccess } = this.#options;
    const { repo, digest } = place;
    const answeredAgo = await this.#knownAgo(place);
    if (answeredAgo === undefined) return undefined;
    const blob = await store.open(digest);
    if (blob) {
      recordAccess(digest);
      return { kind: "stored", blob, answeredAgo };
    }
    const fill = fills.running(digest, repo.upstream);
    return fill && { kind: "filling", fill, answeredAgo };
  }

  /**
   * A blob that is here, or is downloaded now. Resolves once a source has begun to send it.
   *
   * @param size in bytes, if a manifest names it
   * @param near what a download that starts asks before the upstream
   * @throws Fault
   */
  async blob(
    place: AskedPlace,
    size: number | undefined,
    near: NearSources,
  ): Promise<StoredShare | FillingShare> {
    const { store, access, metadata, fills, negativeCache, recordAccess } = this.#options;
    const { upstream, repo, digest } = place;
    refuseBypassed(place);
    const link = await access.link(repo, digest);
    const blob = await store.open(digest);
    if (blob) {
      await access.showBlob("GET", upstream, repo, link ?? { digest });
      recordAccess(digest);
      return { kind: "stored", blob, answeredAgo: await access.answeredAgo(repo) };
    }
    const known = link?.size ?? size;
    const source = new UpstreamSource(upstream, repo, digest);
    const missing = { digest, size: known, near: near.of(repo, digest, known) };
    const fill = await negativeCache.run(
      { asker: "GET", what: blobKey(repo, digest) },
      upstream.settings.tagTtl,
      () => startFill(fills, source, missing),
    );
    // A fill that downloads from another repository does not prove that this one has the blob.
    const ago = fill.sources.answeredAgo(repo.repository);
    const isShown = ago !== undefined && (await access.answeredBefore(upstream, repo, ago));
    if (!isShown) await access.showBlob("GET", upstream, repo, link ?? { digest });
    await metadata.links.add(repo, [{ ...(link ?? { digest }), confirmed: true }]);
    return { kind: "filling", fill, answeredAgo: await access.answeredAgo(repo) };
  }

  /** A manifest that is here, if it may be shown without asking the upstream. */
  async manifestHere(place: AskedPlace): Promise<SharedManifest | undefined> {
    const answeredAgo = await this.#knownAgo(place);
    if (answeredAgo === undefined) return undefined;
    const manifest = await this.#options.manifests.get(place.repo, place.digest);
    return manifest && { manifest, answeredAgo };
  }

  /**
   * A manifest that is here, or is downloaded now.
   *
   * @throws Fault
   */
  async manifest(place: AskedPlace, near: NearSources): Promise<SharedManifest> {
    const { access, manifests, negativeCache } = this.#options;
    const { upstream, repo, digest } = place;
    refuseBypassed(place);
    const stored = await manifests.get(repo, digest);
    if (stored) await access.showManifest(upstream, repo, digest);
    const manifest =
      stored ??
      (await negativeCache.run(
        { asker: "GET", what: keyOf(repo, digest) },
        upstream.settings.tagTtl,
        () => manifests.fetch(upstream, repo, digest, { near }),
      ));
    return { manifest, answeredAgo: await access.answeredAgo(repo) };
  }

  /** How long ago the upstream answered, if the link is confirmed and it need not be asked again. */
  async #knownAgo({ upstream, repo, digest }: AskedPlace): Promise<number | undefined> {
    const { access } = this.#options;
    if (isBypassed(upstream, repo)) return undefined;
    const link = await access.link(repo, digest);
    if (!link?.confirmed) return undefined;
    const ago = await access.answeredAgo(repo);
    const { tagTtl, revokedAfter } = upstream.settings;
    return ago < tagTtl + revokedAfter ? ago : undefined;
  }
}

/** Nothing of a bypassed repository is kept, so nobody else gets it from here. */
function refuseBypassed({ upstream, repo, digest }: AskedPlace): void {
  if (!isBypassed(upstream, repo)) return;
  const { name } = upstream.settings;
  throw new Fault({ kind: "not-found", what: "blob", upstream: name, name: digest });
}
