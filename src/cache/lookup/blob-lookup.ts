import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { type RangeRequest, resolveRange } from "../../oci/range.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { Index, Link, Place } from "../../store/metadata-store.ts";
import type { BlobAnswer, BlobHead } from "../results.ts";
import { Coalesce } from "../single-flight.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import { follow } from "../fill/follow.ts";
import { keyOf } from "./manifest-store.ts";
import type { Negatives } from "./negative-cache.ts";
import { type CacheNote, HIT, JOINED, MISS, PASSED_ON, UNSTORED } from "../cache-status.ts";
import type { Passing } from "../bypass/bypass.ts";
import { within } from "../with-timeout.ts";
import type { Transfer } from "../fill/source.ts";
import { passThrough } from "../bypass/stream-uncached.ts";
import { isBypassed, type Upstream, UpstreamSource } from "../upstream.ts";

/** Up to this many bytes a blob is verified before its first byte is sent. */
const SMALL = 4 * 1024 * 1024;
/** How long a client waits for that, in milliseconds; then it gets the bytes as they come. */
const SMALL_WAIT_MS = 15_000;
/** A range that begins this many bytes beyond the fill is not waited for. */
const FAR_AHEAD = 16 * 1024 * 1024;
/** Bytes that are asked for at once on behalf of such a range: most readers leave after a few. */
const AHEAD_WINDOW = 16 * 1024 * 1024;

export interface BlobsOptions {
  readonly store: BlobStore;
  readonly index: Index;
  readonly fills: Fills;
  /** Told of every blob that was served from here. */
  readonly used: (digest: Digest) => void;
  readonly negatives: Negatives;
  readonly passing: Passing;
}

/** Layers and configurations, by digest and by where they may be seen. */
export class Blobs {
  readonly #store: BlobStore;
  readonly #index: Index;
  readonly #fills: Fills;
  readonly #used: (digest: Digest) => void;
  /** Small ones that could not be stored, fetched once for all who wait at a place. */
  readonly #whole = new Coalesce<Uint8Array<ArrayBuffer>>();
  readonly #negatives: Negatives;
  readonly #passing: Passing;
  readonly #probes = new Coalesce<number | undefined>();

  constructor({ store, index, fills, used, negatives, passing }: BlobsOptions) {
    this.#store = store;
    this.#index = index;
    this.#fills = fills;
    this.#used = used;
    this.#negatives = negatives;
    this.#passing = passing;
  }

  /** @throws Fault */
  async head(upstream: Upstream, place: Place, digest: Digest): Promise<BlobHead> {
    if (isBypassed(upstream, place)) return this.#passing.blobHead(upstream, place, digest);
    const link = await this.#index.links.get(place, digest);
    const stored = link && (await this.#store.open(digest));
    if (stored) return { size: stored.size, note: HIT };
    const size = (await this.#authorise(upstream, place, digest)) ?? link?.size;
    if (size !== undefined) return { note: PASSED_ON, size };
    // A HEAD has to tell the size, and this upstream tells it only by sending everything.
    const source = new UpstreamSource(upstream, place, digest);
    const blob = await within(SMALL_WAIT_MS, this.#fills.join(digest, source).stored);
    if (!blob) throw sizeUnknown(source, digest);
    return { note: MISS, size: blob.size };
  }

  /** @throws Fault */
  async get(
    upstream: Upstream,
    place: Place,
    digest: Digest,
    range?: RangeRequest,
  ): Promise<BlobAnswer> {
    if (isBypassed(upstream, place)) return this.#passing.blob(upstream, place, digest, range);
    const link = await this.#index.links.get(place, digest);
    const blob = await this.#store.open(digest);
    if (blob) {
      // The bytes are here for another repository; whether this one has them too, only its upstream knows.
      if (!link) await this.#authorise(upstream, place, digest);
      this.#used(digest);
      return { kind: "stored", blob, note: link ? HIT : MISS };
    }
    const note = this.#fills.running(digest) ? JOINED : MISS;
    const source = new UpstreamSource(upstream, place, digest);
    const fill = await this.#negatives.run(blobKey(place, digest), () =>
      this.#begun(source, digest, link?.size),
    );
    if (fill.handover) return this.#unstored(fill, source, place, range);
    // Where the bytes come from somewhere else, that they come says nothing about this place.
    if (!link && !fill.supply.hasTakenFrom(source)) await this.#authorise(upstream, place, digest);
    // Also one that was there: until this fill began, it was of nothing that is here, and pruned.
    else await this.#link(place, link ?? { digest });
    return this.#following(fill, source, place, note, range);
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
        if (fill.handover) return fill;
        // It was ending when this one joined it: what another place was refused says nothing here.
        if (isOurs || fill.supply.hasTried(source) || fill.fault?.detail.kind === "storage")
          throw error;
        await fill.stored.catch(() => {});
      }
    }
  }

  async #following(
    fill: Fill,
    source: UpstreamSource,
    place: Place,
    note: CacheNote,
    request: RangeRequest | undefined,
  ): Promise<BlobAnswer> {
    const blob = await within(SMALL_WAIT_MS, whole(fill, request !== undefined));
    if (blob) return { kind: "stored", blob, note };
    if (fill.handover) return this.#unstored(fill, source, place, request);
    const { digest, size } = fill;
    if (!request) {
      if (!(await hasBegun(fill, 0))) return this.#unstored(fill, source, place, request);
      return {
        kind: "growing",
        digest,
        note,
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
      return this.#unstored(fill, source, place, request);
    }
    const ahead = (from: number): Promise<Transfer> =>
      source.range({ first: from, last: Math.min(range.last, from + AHEAD_WINDOW - 1) });
    return {
      kind: "growing",
      digest,
      size,
      range,
      note,
      body: (following) =>
        follow(fill, { first: range.first, end, ...following, ...(isFarAhead ? { ahead } : {}) }),
    };
  }

  /** Straight from the source: the disk takes nothing, and the client is not to notice. */
  async #unstored(
    fill: Fill,
    source: UpstreamSource,
    place: Place,
    range: RangeRequest | undefined,
  ): Promise<BlobAnswer> {
    const { digest, size } = fill;
    const known = size === undefined ? {} : { size };
    const answer = await passThrough(
      { digest, source, note: UNSTORED, ...known },
      range,
      this.#whole,
    );
    await this.#link(place, { digest });
    return answer;
  }

  /** Asks whether the upstream shows this content in this repository, and remembers that it does. */
  #authorise(upstream: Upstream, place: Place, digest: Digest): Promise<number | undefined> {
    const key = blobKey(place, digest);
    return this.#probes.run(key, async () => {
      const { size } = await this.#negatives.run(key, () =>
        upstream.registry.probeBlob(place.repository, digest),
      );
      await this.#link(place, { digest });
      return size;
    });
  }

  /** Without a size that the upstream told: only manifests and verified content are believed. */
  #link(place: Place, link: Link): Promise<void> {
    return this.#index.links.add(place, [link]);
  }
}

/**
 * The blob, if it is worth waiting for: a small one, and any one of unknown size of which a part was
 * asked for, since without a size a part cannot be told from the whole.
 */
async function whole(fill: Fill, isPart: boolean): Promise<StoredBlob | undefined> {
  for (;;) {
    const known = fill.size ?? fill.available;
    if (fill.handover) return undefined;
    if (fill.isOver || (fill.size === undefined ? isPart : known <= SMALL)) {
      return fill.stored.catch((error: unknown) => {
        if (!fill.handover) throw error;
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
  while (fill.available <= first && !fill.isOver && !fill.handover) await fill.progress();
  if (fill.handover) return false;
  if (fill.fault) throw fill.fault;
  return true;
}

/** That a digest is no manifest says nothing of a blob: their answers are remembered apart. */
function blobKey(place: Place, digest: Digest): string {
  return `blob ${keyOf(place, digest)}`;
}

function sizeUnknown(source: UpstreamSource, digest: Digest): Fault {
  return new Fault({
    kind: "upstream-timeout",
    upstream: source.name,
    waitedFor: `finish ${digest}, whose size it did not tell,`,
    seconds: SMALL_WAIT_MS / 1000,
  });
}
