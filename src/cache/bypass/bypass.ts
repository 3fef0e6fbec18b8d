import type { Accept } from "../../oci/accept.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { RangeRequest } from "../../oci/range.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { BlobResult, BlobHeadResult, ManifestResult, ManifestHeadResult } from "../results.ts";
import { toHeadResult, headUpstream } from "./manifest-head.ts";
import { SingleFlight } from "../single-flight.ts";
import { BYPASS } from "../cache-status.ts";
import { streamUncached } from "./stream-uncached.ts";
import type { Upstream } from "../upstream.ts";
import { UpstreamSource } from "../fetch/upstream-source.ts";

/** Serves repositories that bypass the cache: every request is forwarded, verified, and never stored. */
export class Bypass {
  /** Downloads of small blobs, which are verified in memory. */
  readonly #smallBlobs = new SingleFlight<Uint8Array<ArrayBuffer>>();

  /** @throws Fault */
  async manifest(
    upstream: Upstream,
    { repository }: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestResult> {
    const { bytes, manifest, digest } = await upstream.registry.getManifest(repository, reference);
    const { mediaType } = manifest;
    if (!accept.allowsManifest(mediaType)) throw new Fault({ kind: "not-acceptable", mediaType });
    return { manifest: { digest, mediaType, bytes }, cacheStatus: BYPASS };
  }

  /**
   * Forwards a HEAD, since the upstream may limit pulls; falls back to a GET if the response lacks
   * the digest, the size or a manifest's media type.
   *
   * @throws Fault
   */
  async manifestHead(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestHeadResult> {
    const head = await headUpstream(upstream, repo, reference);
    if (!head) return toHeadResult(await this.manifest(upstream, repo, reference, accept));
    const { mediaType } = head;
    if (!accept.allowsManifest(mediaType)) throw new Fault({ kind: "not-acceptable", mediaType });
    return { ...head, cacheStatus: BYPASS };
  }

  /** @throws Fault */
  async blobHead(
    upstream: Upstream,
    { repository }: RepositoryRef,
    digest: Digest,
  ): Promise<BlobHeadResult> {
    const { size } = await upstream.registry.probeBlob(repository, digest);
    if (size !== undefined) return { size, cacheStatus: BYPASS };
    const reason = `its response lacks the size of ${digest}`;
    throw new Fault({
      kind: "upstream-invalid-response",
      upstream: upstream.settings.name,
      reason,
    });
  }

  /** @throws Fault */
  async blob(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    request?: RangeRequest,
  ): Promise<BlobResult> {
    const source = new UpstreamSource(upstream, repo, digest);
    // A range can be resolved only against the blob's size.
    const size = request && (await this.blobHead(upstream, repo, digest)).size;
    const known = size === undefined ? {} : { size };
    return streamUncached(
      { digest, source, cacheStatus: BYPASS, ...known },
      request,
      this.#smallBlobs,
    );
  }
}
