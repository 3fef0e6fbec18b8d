import type { Accept } from "../../oci/accept.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { RangeRequest } from "../../oci/range.ts";
import type { Place } from "../../store/metadata-store.ts";
import type { BlobAnswer, BlobHead, ManifestAnswer, ManifestHeadAnswer } from "../results.ts";
import { described, headUpstream } from "./manifest-head.ts";
import { Coalesce } from "../single-flight.ts";
import { BYPASS } from "../cache-status.ts";
import { passThrough } from "./stream-uncached.ts";
import { type Upstream, UpstreamSource } from "../upstream.ts";

/** What the owner wants passed through: asked for each time, checked on the way, and never stored. */
export class Passing {
  readonly #whole = new Coalesce<Uint8Array<ArrayBuffer>>();

  /** @throws Fault */
  async manifest(
    upstream: Upstream,
    { repository }: Place,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestAnswer> {
    const { bytes, manifest, digest } = await upstream.registry.getManifest(repository, reference);
    const { mediaType } = manifest;
    if (!accept.allows(mediaType)) throw new Fault({ kind: "not-acceptable", mediaType });
    return { manifest: { digest, mediaType, bytes }, note: BYPASS };
  }

  /**
   * By the upstream's own HEAD, since pulls may be limited; where that leaves open what has to be
   * known, by a pull.
   *
   * @throws Fault
   */
  async manifestHead(
    upstream: Upstream,
    place: Place,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestHeadAnswer> {
    const head = await headUpstream(upstream, place, reference);
    if (!head) return described(await this.manifest(upstream, place, reference, accept));
    const { mediaType } = head;
    if (!accept.allows(mediaType)) throw new Fault({ kind: "not-acceptable", mediaType });
    return { ...head, note: BYPASS };
  }

  /** @throws Fault */
  async blobHead(upstream: Upstream, { repository }: Place, digest: Digest): Promise<BlobHead> {
    const { size } = await upstream.registry.probeBlob(repository, digest);
    if (size !== undefined) return { size, note: BYPASS };
    const reason = `it does not tell the size of ${digest}`;
    throw new Fault({ kind: "upstream-untrue", upstream: upstream.settings.name, reason });
  }

  /** @throws Fault */
  async blob(
    upstream: Upstream,
    place: Place,
    digest: Digest,
    request?: RangeRequest,
  ): Promise<BlobAnswer> {
    const source = new UpstreamSource(upstream, place, digest);
    // Without its size, a part of a blob cannot be told from the whole.
    const size = request && (await this.blobHead(upstream, place, digest)).size;
    const known = size === undefined ? {} : { size };
    return passThrough({ digest, source, note: BYPASS, ...known }, request, this.#whole);
  }
}
