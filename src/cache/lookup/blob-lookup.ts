import type { Digest } from "../../oci/digest.ts";
import { Fault, type FaultKind } from "../../oci/fault.ts";
import { type ByteRange, type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { Link, RepositoryRef } from "../../store/metadata-store.ts";
import type { BlobResult, BlobHeadResult } from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import { follow } from "../fill/follow.ts";
import type { NegativeCache } from "./negative-cache.ts";
import { type CacheStatus, HIT, COLLAPSED, MISS, FORWARDED, UNSTORED } from "../cache-status.ts";
import type { Bypass } from "../bypass/bypass.ts";
import { withTimeout } from "../with-timeout.ts";
import type { Transfer } from "../fetch/source.ts";
import { streamUncached } from "../bypass/stream-uncached.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import { UpstreamSource } from "../fetch/upstream-source.ts";
import type { Siblings } from "../siblings/siblings.ts";
import type { PullMetadata } from "./pull-metadata.ts";
import { partOf, readsWhole } from "./requested-range.ts";
import { smallBlob, startFill, vouchedBytes, waitForByte, waitForByteAhead } from "./fill-waits.ts";
import { blobKey, type RepositoryAccess } from "./repository-access.ts";

/** How long a request waits for a small blob to be verified, in milliseconds; then it is streamed as it arrives. */
const SMALL_BLOB_TIMEOUT_MS = 15_000;
/** A range that begins further ahead of the fill than this does not wait for it, in bytes. */
const FAR_AHEAD_BYTES = 1024 * 1024;
/** Size of one request for such a range, in bytes: most clients leave after the first few bytes. */
const AHEAD_WINDOW_BYTES = 16 * 1024 * 1024;

/** What an upstream says of a blob or a range, rather than of itself. */
const REFUSALS: ReadonlySet<FaultKind> = new Set(["not-found", "upstream-denied", "invalid-range"]);

export interface BlobLookupOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<PullMetadata, "links">;
  readonly access: RepositoryAccess;
  readonly fills: Fills;
  /** Called with the digest of every blob that was served from the store. */
  readonly recordAccess: (digest: Digest) => void;
  readonly negativeCache: NegativeCache;
  readonly bypass: Bypass;
  /** Downloads the other layers of an image ahead; by default, nothing is. */
  readonly siblings?: Pick<Siblings, "asked" | "recorded" | "missed" | "makeWay"> | undefined;
}

/**
 * Answers requests for blobs (layers and configs). A stored blob is sent from the store; a missing
 * one is filled (see `Fill`) and sent while it is downloaded.
 *
 * Blobs are shared, but access is per repository: a blob without a confirmed link to the requested
 * repository is served only after the upstream has confirmed that the repository has it.
 */
export class BlobLookup {
  readonly #store: BlobStore;
  readonly #metadata: Pick<PullMetadata, "links">;
  readonly #access: RepositoryAccess;
  readonly #fills: Fills;
  readonly #recordAccess: (digest: Digest) => void;
  /** Downloads of small blobs that cannot be stored: one per repository and digest at a time. */
  readonly #smallUncached = new SingleFlight<Uint8Array<ArrayBuffer>>();
  readonly #negativeCache: NegativeCache;
  readonly #bypass: Bypass;
  readonly #siblings: BlobLookupOptions["siblings"];

  constructor(options: BlobLookupOptions) {
    this.#store = options.store;
    this.#metadata = options.metadata;
    this.#access = options.access;
    this.#fills = options.fills;
    this.#recordAccess = options.recordAccess;
    this.#negativeCache = options.negativeCache;
    this.#bypass = options.bypass;
    this.#siblings = options.siblings;
  }

  /** @throws Fault */
  async head(upstream: Upstream, repo: RepositoryRef, digest: Digest): Promise<BlobHeadResult> {
    if (isBypassed(upstream, repo)) return this.#bypass.blobHead(upstream, repo, digest);
    const link = await this.#access.link(repo, digest);
    const verified = link?.confirmed ? await this.#verifiedSize(repo, digest) : undefined;
    if (link && verified !== undefined) {
      await this.#access.showBlob("HEAD", upstream, repo, link);
      return { size: verified, cacheStatus: HIT };
    }
    const size = (await this.#access.askForBlob("HEAD", upstream, repo, digest)) ?? link?.size;
    if (size !== undefined) return { cacheStatus: FORWARDED, size };
    // The response needs the size, which this upstream reveals only by sending the whole blob.
    const source = new UpstreamSource(upstream, repo, digest);
    const fill = this.#fills.startOrJoin(digest, source);
    await withTimeout(SMALL_BLOB_TIMEOUT_MS, fill.verified);
    if (fill.size === undefined) throw sizeUnknown(source, digest);
    return { cacheStatus: MISS, size: fill.size };
  }

  /**
   * @param isWhole whether the client is about to read all of the blob, as one does that pulls an image
   * @throws Fault
   */
  async get(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    range?: RangeRequest,
    isWhole = readsWhole(range),
  ): Promise<BlobResult> {
    if (isBypassed(upstream, repo)) {
      this.#siblings?.makeWay(upstream);
      return this.#bypass.blob(upstream, repo, digest, range);
    }
    // For this very pull, so it counts as missing.
    const isAhead = this.#siblings?.asked(repo, digest) ?? false;
    await this.#siblings?.recorded(repo, digest);
    const link = await this.#access.link(repo, digest);
    let blob: StoredBlob | undefined;
    try {
      blob = await this.#store.open(digest);
    } catch (error) {
      const known = { digest, size: link?.size };
      const source = new UpstreamSource(upstream, repo, digest);
      // This machine lacks descriptors or memory: that is told if the upstream fails as well.
      return this.#streamUncached(known, source, repo, range).catch((other: unknown) => {
        throw other instanceof Fault && REFUSALS.has(other.detail.kind) ? other : error;
      });
    }
    if (blob) {
      const fresh = await this.#access.showBlob("GET", upstream, repo, link ?? { digest });
      this.#recordAccess(digest);
      const cacheStatus = link?.confirmed && !isAhead ? HIT : MISS;
      return { kind: "complete", blob, cacheStatus, ...(fresh ? { fresh } : {}) };
    }
    const running = this.#fills.running(digest, repo.upstream);
    // One that runs has a connection, or gets one.
    if (!running) this.#siblings?.makeWay(upstream);
    // Then the blob is here, and only not durable yet.
    const isHere = running?.isVerified && link?.confirmed;
    const cacheStatus = isAhead || !running ? MISS : isHere ? HIT : COLLAPSED;
    const source = new UpstreamSource(upstream, repo, digest);
    const fill = await this.#negativeCache.run(
      { asker: "GET", what: blobKey(repo, digest), askedAs: upstream.registry.askedAs },
      upstream.settings.tagTtl,
      () => {
        const { size } = link ?? {};
        const starting = startFill(this.#fills, source, {
          digest,
          size,
          part: partOf(range, size),
        });
        if (isWhole) this.#siblings?.missed(upstream, repo, digest);
        return starting;
      },
    );
    if (fill.resumePoint) return this.#streamUncached(fill, source, repo, range);
    // A fill that downloads from another repository does not prove that this one has the blob.
    const ago = fill.sources.answeredAgo(repo.repository);
    const isShown = ago !== undefined && (await this.#access.answeredBefore(upstream, repo, ago));
    if (!isShown) await this.#access.showBlob("GET", upstream, repo, link ?? { digest });
    // An existing link is written again: pruning may have removed it while its blob was not stored.
    const linked = this.#link(repo, link ?? { digest });
    const [result] = await Promise.all([
      this.#sendFill(fill, source, repo, cacheStatus, range),
      linked,
    ]);
    return result;
  }

  /** Of a blob that is stored, or about to be. */
  async #verifiedSize({ upstream }: RepositoryRef, digest: Digest): Promise<number | undefined> {
    const stored = await this.#store.open(digest).catch((error: unknown) => {
      if (!(error instanceof Fault)) throw error;
      return undefined;
    });
    if (stored) return stored.size;
    const fill = this.#fills.running(digest, upstream);
    return fill?.isVerified ? fill.size : undefined;
  }

  /**
   * Reading the bytes of a `complete` result failed.
   *
   * @param cause the error of the system call
   * @param at where in the blob, in bytes
   * @returns whether another `get` gives other bytes: the blob counts as missing now
   */
  readFailed(digest: Digest, cause: unknown, at: number): boolean {
    return this.#store.readFailed(digest, cause, at);
  }

  /** Sends a blob that is being filled: once it is verified if it is small, else as it arrives. */
  async #sendFill(
    fill: Fill,
    source: UpstreamSource,
    repo: RepositoryRef,
    cacheStatus: CacheStatus,
    request: RangeRequest | undefined,
  ): Promise<BlobResult> {
    if (readsWhole(request)) await vouchedBytes(fill);
    const blob = await withTimeout(SMALL_BLOB_TIMEOUT_MS, smallBlob(fill, request !== undefined));
    if (blob) return { kind: "complete", blob, cacheStatus };
    if (fill.resumePoint) return this.#streamUncached(fill, source, repo, request);
    const { digest, size } = fill;
    const range = request && rangeOf(fill, source, request);
    const first = range?.first ?? 0;
    const end = range ? range.last + 1 : size;
    const isAhead = end !== undefined && first > fill.available + FAR_AHEAD_BYTES;
    const isFarAhead = isAhead && fill.ahead.isPossible;
    const isThere = isFarAhead ? waitForByteAhead(fill, first, end) : waitForByte(fill, first);
    if (!(await isThere)) return this.#streamUncached(fill, source, repo, request);
    // Another upstream may have stored the blob meanwhile, or a mirror was found to be corrupt.
    if (fill.isStored) return { kind: "complete", blob: await fill.stored, cacheStatus };
    if (fill.size !== size) return this.#sendFill(fill, source, repo, cacheStatus, request);
    const { attempt } = fill;
    const openAhead = (from: number): Promise<Transfer> =>
      source.range({
        first: from,
        last: Math.min((end ?? Infinity) - 1, from + AHEAD_WINDOW_BYTES - 1),
      });
    return {
      kind: "streaming",
      digest,
      cacheStatus,
      ...(size === undefined ? {} : { size }),
      ...(range ? { range } : {}),
      body: (events) =>
        follow(fill, {
          first,
          attempt,
          size,
          detours: this.#fills.detours,
          ...events,
          ...(end === undefined ? {} : { end }),
          ...(isFarAhead ? { openAhead } : {}),
        }),
    };
  }

  /** Streams from the source without storing: the disk is full or fails, but the pull must not. */
  async #streamUncached(
    { digest, size }: { readonly digest: Digest; readonly size: number | undefined },
    source: UpstreamSource,
    repo: RepositoryRef,
    range: RangeRequest | undefined,
  ): Promise<BlobResult> {
    const result = await streamUncached(
      { digest, source, cacheStatus: UNSTORED, ...(size === undefined ? {} : { size }) },
      range,
      this.#smallUncached,
    );
    await this.#link(repo, { digest });
    return result;
  }

  /** Never with a size from a response header: only manifests and verified blobs are trusted for it. */
  async #link(repo: RepositoryRef, link: Link): Promise<void> {
    await this.#metadata.links.add(repo, [{ ...link, confirmed: true }]);
  }
}

/** @throws Fault if the blob's size is not known, or the range is outside of it */
function rangeOf(fill: Fill, source: UpstreamSource, request: RangeRequest): ByteRange {
  const { digest, size } = fill;
  if (size === undefined) throw sizeUnknown(source, digest);
  const range = resolveRange(request, size);
  if (range) return range;
  throw new Fault({ kind: "invalid-range", reason: `${digest} has ${size} bytes`, size });
}

function sizeUnknown(source: UpstreamSource, digest: Digest): Fault {
  return new Fault({
    kind: "upstream-timeout",
    upstream: source.name,
    waitedFor: `finish sending ${digest}, whose size it did not announce,`,
    seconds: SMALL_BLOB_TIMEOUT_MS / 1000,
  });
}
