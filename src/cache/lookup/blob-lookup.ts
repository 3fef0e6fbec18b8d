import type { Digest } from "../../oci/digest.ts";
import { Fault, isLocalFault } from "../../oci/fault.ts";
import { type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { Link, RepositoryRef } from "../../store/metadata-store.ts";
import type { BlobResult, BlobHeadResult } from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import { follow } from "../fill/follow.ts";
import { keyOf } from "./manifest-store.ts";
import type { NegativeCache } from "./negative-cache.ts";
import { type CacheStatus, HIT, COLLAPSED, MISS, FORWARDED, UNSTORED } from "../cache-status.ts";
import type { Bypass } from "../bypass/bypass.ts";
import { withTimeout } from "../with-timeout.ts";
import type { Transfer } from "../fill/source.ts";
import { streamUncached } from "../bypass/stream-uncached.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import { UpstreamSource } from "../fill/upstream-source.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** Up to this many bytes a blob is verified before its first byte is sent. */
const SMALL = 4 * 1024 * 1024;
/** How long a client waits for that, in milliseconds; then it gets the bytes as they come. */
const SMALL_WAIT_MS = 15_000;
/** A range that begins this many bytes beyond the fill is not waited for. */
const FAR_AHEAD = 16 * 1024 * 1024;
/** Bytes that are asked for at once on behalf of such a range: most readers leave after a few. */
const AHEAD_WINDOW = 16 * 1024 * 1024;

export interface BlobLookupOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<PullMetadata, "links">;
  readonly fills: Fills;
  /** Told of every blob that was served from here. */
  readonly used: (digest: Digest) => void;
  readonly negativeCache: NegativeCache;
  readonly bypass: Bypass;
}

/** Layers and configurations, by digest and by where they may be seen. */
export class BlobLookup {
  readonly #store: BlobStore;
  readonly #metadata: Pick<PullMetadata, "links">;
  readonly #fills: Fills;
  readonly #used: (digest: Digest) => void;
  /** Small ones that could not be stored, fetched once for all who wait at a place. */
  readonly #whole = new SingleFlight<Uint8Array<ArrayBuffer>>();
  readonly #negativeCache: NegativeCache;
  readonly #bypass: Bypass;
  readonly #probes = new SingleFlight<number | undefined>();

  constructor({ store, metadata, fills, used, negativeCache, bypass }: BlobLookupOptions) {
    this.#store = store;
    this.#metadata = metadata;
    this.#fills = fills;
    this.#used = used;
    this.#negativeCache = negativeCache;
    this.#bypass = bypass;
  }

  /** @throws Fault */
  async head(upstream: Upstream, repo: RepositoryRef, digest: Digest): Promise<BlobHeadResult> {
    if (isBypassed(upstream, repo)) return this.#bypass.blobHead(upstream, repo, digest);
    const link = await this.#metadata.links.get(repo, digest);
    const stored = link && (await this.#store.open(digest));
    if (stored) return { size: stored.size, cacheStatus: HIT };
    const size = (await this.#authorise(upstream, repo, digest)) ?? link?.size;
    if (size !== undefined) return { cacheStatus: FORWARDED, size };
    // A HEAD has to tell the size, and this upstream tells it only by sending everything.
    const source = new UpstreamSource(upstream, repo, digest);
    const blob = await withTimeout(SMALL_WAIT_MS, this.#fills.join(digest, source).stored);
    if (!blob) throw sizeUnknown(source, digest);
    return { cacheStatus: MISS, size: blob.size };
  }

  /** @throws Fault */
  async get(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    range?: RangeRequest,
  ): Promise<BlobResult> {
    if (isBypassed(upstream, repo)) return this.#bypass.blob(upstream, repo, digest, range);
    const link = await this.#metadata.links.get(repo, digest);
    const blob = await this.#store.open(digest);
    if (blob) {
      // The bytes are here for another repository; whether this one has them too, only its upstream knows.
      if (!link) await this.#authorise(upstream, repo, digest);
      this.#used(digest);
      return { kind: "stored", blob, cacheStatus: link ? HIT : MISS };
    }
    const cacheStatus = this.#fills.running(digest) ? COLLAPSED : MISS;
    const source = new UpstreamSource(upstream, repo, digest);
    const fill = await this.#negativeCache.run(blobKey(repo, digest), () =>
      this.#begun(source, digest, link?.size),
    );
    if (fill.resumePoint) return this.#unstored(fill, source, repo, range);
    // Where the bytes come from somewhere else, that they come says nothing about this place.
    if (!link && !fill.sources.hasTakenFrom(source)) await this.#authorise(upstream, repo, digest);
    // Also one that was there: until this fill began, it was of nothing that is here, and pruned.
    else await this.#link(repo, link ?? { digest });
    return this.#following(fill, source, repo, cacheStatus, range);
  }

  /** A fill of which the upstream's answer is known to be usable. */
  async #begun(source: UpstreamSource, digest: Digest, size: number | undefined): Promise<Fill> {
    for (;;) {
      const isOurs = this.#fills.running(digest) === undefined;
      const fill = this.#fills.join(digest, source, size);
      try {
        await fill.started;
        return fill;
      } catch (error) {
        if (fill.resumePoint) return fill;
        // It was ending when this one joined it: what another place was refused says nothing here.
        if (isOurs || fill.sources.hasTried(source) || (fill.fault && isLocalFault(fill.fault)))
          throw error;
        await fill.stored.catch(() => {});
      }
    }
  }

  async #following(
    fill: Fill,
    source: UpstreamSource,
    repo: RepositoryRef,
    cacheStatus: CacheStatus,
    request: RangeRequest | undefined,
  ): Promise<BlobResult> {
    const blob = await withTimeout(SMALL_WAIT_MS, whole(fill, request !== undefined));
    if (blob) return { kind: "stored", blob, cacheStatus };
    if (fill.resumePoint) return this.#unstored(fill, source, repo, request);
    const { digest, size } = fill;
    if (!request) {
      if (!(await hasBegun(fill, 0))) return this.#unstored(fill, source, repo, request);
      return {
        kind: "streaming",
        digest,
        cacheStatus,
        ...(size === undefined ? {} : { size }),
        body: (following) =>
          follow(fill, { first: 0, ...following, ...(size === undefined ? {} : { end: size }) }),
      };
    }
    const range = size === undefined ? undefined : resolveRange(request, size);
    if (size === undefined) {
      throw sizeUnknown(source, digest);
    }
    if (!range) {
      throw new Fault({ kind: "invalid-range", reason: `${digest} has ${size} bytes`, size });
    }
    const end = range.last + 1;
    const isFarAhead = range.first > fill.available + FAR_AHEAD && range.first < fill.verifiedFrom;
    if (!isFarAhead && !(await hasBegun(fill, range.first))) {
      return this.#unstored(fill, source, repo, request);
    }
    const ahead = (from: number): Promise<Transfer> =>
      source.range({ first: from, last: Math.min(range.last, from + AHEAD_WINDOW - 1) });
    return {
      kind: "streaming",
      digest,
      size,
      range,
      cacheStatus,
      body: (following) =>
        follow(fill, { first: range.first, end, ...following, ...(isFarAhead ? { ahead } : {}) }),
    };
  }

  /** Straight from the source: the disk takes nothing, and the client is not to notice. */
  async #unstored(
    fill: Fill,
    source: UpstreamSource,
    repo: RepositoryRef,
    range: RangeRequest | undefined,
  ): Promise<BlobResult> {
    const { digest, size } = fill;
    const known = size === undefined ? {} : { size };
    const answer = await streamUncached(
      { digest, source, cacheStatus: UNSTORED, ...known },
      range,
      this.#whole,
    );
    await this.#link(repo, { digest });
    return answer;
  }

  /** Asks whether the upstream shows this content in this repository, and remembers that it does. */
  #authorise(upstream: Upstream, repo: RepositoryRef, digest: Digest): Promise<number | undefined> {
    const key = blobKey(repo, digest);
    return this.#probes.run(key, async () => {
      const { size } = await this.#negativeCache.run(key, () =>
        upstream.registry.probeBlob(repo.repository, digest),
      );
      await this.#link(repo, { digest });
      return size;
    });
  }

  /** Without a size that the upstream told: only manifests and verified content are believed. */
  #link(repo: RepositoryRef, link: Link): Promise<void> {
    return this.#metadata.links.add(repo, [link]);
  }
}

/**
 * The blob, if it is worth waiting for: a small one, and any one of unknown size of which a part was
 * asked for, since without a size a part cannot be told from the whole.
 */
async function whole(fill: Fill, isPart: boolean): Promise<StoredBlob | undefined> {
  for (;;) {
    const known = fill.size ?? fill.available;
    if (fill.resumePoint) return undefined;
    if (fill.isOver || (fill.size === undefined ? isPart : known <= SMALL)) {
      return fill.stored.catch((error: unknown) => {
        if (!fill.resumePoint) throw error;
        return undefined;
      });
    }
    if (known > SMALL) return undefined;
    await fill.progress();
  }
}

/**
 * Waits for the first byte that is wanted, since the answer's head leaves with it: as long as none
 * came, its client can be told of a failure, or that it takes too long. Returns false where the
 * client is to get it in another way.
 */
async function hasBegun(fill: Fill, first: number): Promise<boolean> {
  while (fill.available <= first && !fill.isOver && !fill.resumePoint) await fill.progress();
  if (fill.resumePoint) return false;
  if (fill.fault) throw fill.fault;
  return true;
}

/** That a digest is no manifest says nothing of a blob: their answers are remembered apart. */
function blobKey(repo: RepositoryRef, digest: Digest): string {
  return `blob ${keyOf(repo, digest)}`;
}

function sizeUnknown(source: UpstreamSource, digest: Digest): Fault {
  return new Fault({
    kind: "upstream-timeout",
    upstream: source.name,
    waitedFor: `finish ${digest}, whose size it did not tell,`,
    seconds: SMALL_WAIT_MS / 1000,
  });
}
