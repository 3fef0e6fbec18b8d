import { setImmediate, setTimeout } from "node:timers/promises";
import type { UpstreamSettings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import type { BlobUse, MetadataStore } from "../../store/metadata-store.ts";
import { expirePartials } from "../../store/repair/expire-partials.ts";
import type { DiskBudget } from "../../store/space/disk-budget.ts";
import { LOW_WATER } from "../../store/space/fill-level.ts";
import type { QuotaEvents } from "../quota-events.ts";
import {
  type Evicted,
  type Evictor,
  BUSY_PAUSE_MS,
  BUSY_RETRIES,
  EvictionTally,
} from "./evictor.ts";

/** Blobs per metadata query; between two of them, requests are served. */
const BATCH_SIZE = 128;
/** The most oversized blobs that are remembered. Any beyond are evicted in LRU order like the rest. */
const MAX_OVERSIZED = 64;

/** An upstream with its limits. */
export type LimitedUpstream = Pick<UpstreamSettings, "name" | "maxSize" | "maxAge">;

export interface UpstreamQuotasOptions {
  readonly store: BoundedBlobStore;
  readonly metadata: Pick<MetadataStore, "blobs" | "links">;
  readonly evictor: Evictor;
  readonly budget: Pick<DiskBudget, "spaceOf">;
  /** The current settings. */
  readonly upstreams: () => ReadonlyMap<UpstreamName, LimitedUpstream>;
  /** Writes buffered access times to the metadata store. */
  readonly flushAccessTimes: () => Promise<void>;
  /** Called with each error of background work. */
  readonly onFailed: (error: unknown) => void;
  readonly now?: () => number;
}

/**
 * Enforces the quotas of single upstreams: `maxSize` (LRU eviction down to the low-water mark) and
 * `maxAge` (since a blob was stored). The evictor enforces the limits of the whole store.
 *
 * A blob counts for every upstream in which it is visible. If several share it, it is unlinked from
 * the upstream that is over its quota, and removed only with the last of them. It counts with the space
 * that its file takes on the disk.
 */
export class UpstreamQuotas implements QuotaEvents {
  readonly #options: UpstreamQuotasOptions;
  readonly #now: () => number;
  /** Bytes visible in an upstream: the last exact count, plus what was added since. Never too low. */
  readonly #sizes = new Map<UpstreamName, number>();
  /** For an upstream that pinned or busy blobs keep over its quota: the size at which to try again. */
  readonly #retryAbove = new Map<UpstreamName, number>();
  /** Blobs that alone exceed the quota of their upstream. */
  readonly #oversized = new Map<
    Digest,
    { readonly upstream: UpstreamName; readonly size: number }
  >();
  readonly #sweeps = new Map<UpstreamName, Promise<void>>();
  /** Where the search for aged blobs resumes: everything up to this one was evicted. */
  readonly #ageCursors = new Map<UpstreamName, BlobUse>();

  constructor(options: UpstreamQuotasOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Enforces every limit: `maxAge` and `maxSize` of the upstreams, the age of partial downloads, and
   * the size of the whole store.
   *
   * @param isFullScan counts the sizes of upstreams exactly, instead of adding up what was stored
   */
  async enforce({ dryRun = false, isFullScan = true } = {}): Promise<Evicted> {
    const { store, flushAccessTimes, evictor, upstreams } = this.#options;
    const expired = await expirePartials(store, this.#now(), dryRun);
    await flushAccessTimes().catch(() => {});
    const tally = new EvictionTally(dryRun);
    if (isFullScan) this.#ageCursors.clear();
    for (const upstream of upstreams().values()) {
      await this.#enforceAge(upstream, tally);
      const size = this.#sizes.get(upstream.name) ?? Infinity;
      if (isFullScan || size > (upstream.maxSize ?? Infinity)) {
        await this.#enforceSize(upstream, tally);
      }
    }
    const swept = dryRun ? await evictor.planSweep(tally) : await evictor.sweep();
    return {
      blobs: tally.blobs + swept.blobs,
      bytes: tally.bytes + swept.bytes + expired,
    };
  }

  /** Whether so many bytes more of an upstream leave it below its quota. */
  hasRoomFor(name: UpstreamName, bytes: number): boolean {
    const maxSize = this.#options.upstreams().get(name)?.maxSize;
    if (maxSize === undefined) return true;
    return (this.#sizes.get(name) ?? Infinity) + this.#options.budget.spaceOf(bytes) <= maxSize;
  }

  stored(digest: Digest, size: number): void {
    const withQuota = this.#upstreamsWithQuota();
    if (withQuota.length === 0) return;
    this.#inBackground(async () => {
      const visibleIn = await this.#options.metadata.links.upstreams(digest);
      for (const upstream of withQuota) {
        if (visibleIn.includes(upstream.name)) this.#added(upstream, digest, size);
      }
    });
  }

  linked(name: UpstreamName, digests: readonly Digest[]): void {
    const upstream = this.#upstreamsWithQuota().find((candidate) => candidate.name === name);
    if (!upstream) return;
    this.#inBackground(async () => {
      for (let first = 0; first < digests.length; first += BATCH_SIZE) {
        const batch = digests.slice(first, first + BATCH_SIZE);
        const stored = await this.#options.metadata.blobs.find(batch);
        for (const { digest, size } of stored) this.#added(upstream, digest, size);
      }
    });
  }

  #upstreamsWithQuota(): LimitedUpstream[] {
    return [...this.#options.upstreams().values()].filter(({ maxSize }) => maxSize !== undefined);
  }

  /** Adds a blob to the size of an upstream, and starts a sweep if that exceeds the quota. */
  #added(upstream: LimitedUpstream, digest: Digest, bytes: number): void {
    const { name, maxSize = Infinity } = upstream;
    const size = this.#options.budget.spaceOf(bytes);
    if (size > maxSize && this.#oversized.size < MAX_OVERSIZED) {
      this.#oversized.set(digest, { upstream: name, size });
    }
    // Infinity before the first exact count, so that the sweep makes it now.
    const total = (this.#sizes.get(name) ?? Infinity) + size;
    this.#sizes.set(name, total);
    if (total > Math.max(maxSize, this.#retryAbove.get(name) ?? 0) && !this.#sweeps.has(name)) {
      this.#inBackground(async () => {
        await this.#options.flushAccessTimes().catch(() => {});
        await this.#enforceSize(upstream, new EvictionTally(false));
      });
    }
  }

  /** Runs one sweep per upstream at a time. */
  async #enforceSize(upstream: LimitedUpstream, tally: EvictionTally): Promise<void> {
    const { name } = upstream;
    while (this.#sweeps.has(name)) await this.#sweeps.get(name);
    const sweep = this.#sweep(upstream, tally);
    this.#sweeps.set(
      name,
      sweep.catch(() => {}),
    );
    await sweep.finally(() => this.#sweeps.delete(name));
  }

  async #sweep(upstream: LimitedUpstream, tally: EvictionTally): Promise<void> {
    const { name, maxSize } = upstream;
    if (maxSize === undefined) return;
    const { blobs } = this.#options.metadata;
    const { evictor, budget } = this.#options;
    const pinned = await evictor.pinned();
    // From now on, `#added` counts only what is added during the sweep.
    if (!tally.isDryRun) this.#sizes.set(name, 0);
    let size = 0;
    for await (const blob of this.#visibleIn(name, (last) =>
      blobs.page(BATCH_SIZE, last?.digest),
    )) {
      size += budget.spaceOf(blob.size);
    }
    let isOver = size > maxSize;
    for (let turn = 0; turn < BUSY_RETRIES; turn += 1) {
      if (turn > 0) await setTimeout(BUSY_PAUSE_MS);
      let hasSkipped = false;
      const evict = async (blob: Pick<BlobUse, "digest" | "size">): Promise<void> => {
        if (pinned.has(blob.digest)) return;
        if (evictor.isBusy(blob.digest)) hasSkipped = true;
        else {
          await this.#evictFrom(upstream, blob, tally, "quota");
          size -= budget.spaceOf(blob.size);
        }
      };
      // An oversized blob goes first, so that it does not displace all blobs that fit.
      const oversized = await this.#oversizedIn(name);
      for (const blob of oversized) await evict(blob);
      const remaining = oversized.filter(({ digest }) => this.#oversized.has(digest));
      const oversizedBytes = remaining.reduce((sum, blob) => sum + budget.spaceOf(blob.size), 0);
      isOver &&= size - oversizedBytes > LOW_WATER * maxSize;
      if (isOver && size - oversizedBytes > (turn === 0 ? maxSize : LOW_WATER * maxSize)) {
        for (const goLast of pinned.hasLast ? [false, true] : [false]) {
          for await (const blob of this.#visibleIn(name, (last) =>
            blobs.leastRecentlyUsed(BATCH_SIZE, last),
          )) {
            if (size - oversizedBytes <= LOW_WATER * maxSize) break;
            if (pinned.goesLast(blob.digest) !== goLast) continue;
            if (!this.#oversized.has(blob.digest)) await evict(blob);
          }
        }
      }
      if (!hasSkipped || tally.isDryRun) break;
    }
    if (tally.isDryRun) return;
    this.#sizes.set(name, size + (this.#sizes.get(name) ?? 0));
    if (size > maxSize) this.#retryAbove.set(name, size + (1 - LOW_WATER) * maxSize);
    else this.#retryAbove.delete(name);
  }

  /** The oversized blobs of an upstream that are still stored and visible. Forgets the others. */
  async #oversizedIn(name: UpstreamName): Promise<{ digest: Digest; size: number }[]> {
    const own = [...this.#oversized].filter(([, { upstream }]) => upstream === name);
    const digests = own.map(([digest]) => digest);
    const stored = await this.#options.metadata.blobs.find(digests);
    const visible = await this.#options.metadata.links.visibleIn(name, digests);
    const remaining = stored.filter(({ digest }) => visible.has(digest));
    for (const digest of digests) {
      if (!remaining.some((blob) => blob.digest === digest)) this.#oversized.delete(digest);
    }
    return remaining;
  }

  async #enforceAge(upstream: LimitedUpstream, tally: EvictionTally): Promise<void> {
    const { name, maxAge } = upstream;
    if (maxAge === undefined) return;
    const { evictor, metadata } = this.#options;
    const pinned = await evictor.pinned();
    const cutoff = this.#now() - maxAge;
    let cursor = this.#ageCursors.get(name);
    let hasSkipped = false;
    const nextPage = async (): Promise<BlobUse[]> => {
      const blobs = await metadata.blobs.storedBefore(cutoff, BATCH_SIZE, cursor);
      cursor = blobs.at(-1) ?? cursor;
      return blobs;
    };
    for await (const blob of this.#visibleIn(name, nextPage)) {
      if (pinned.has(blob.digest) || evictor.isBusy(blob.digest)) hasSkipped = true;
      else await this.#evictFrom(upstream, blob, tally, "age");
    }
    if (!hasSkipped && cursor && !tally.isDryRun) this.#ageCursors.set(name, cursor);
  }

  /** Those blobs of the pages that are visible in an upstream. Yields to the event loop between pages. */
  async *#visibleIn(
    name: UpstreamName,
    nextPage: (last?: BlobUse) => Promise<BlobUse[]>,
  ): AsyncGenerator<BlobUse> {
    let last: BlobUse | undefined;
    for (;;) {
      const blobs = await nextPage(last);
      last = blobs.at(-1);
      if (!last) return;
      const digests = blobs.map(({ digest }) => digest);
      const visible = await this.#options.metadata.links.visibleIn(name, digests);
      for (const blob of blobs) if (visible.has(blob.digest)) yield blob;
      await setImmediate();
    }
  }

  /** Removes a blob. One that is visible in other upstreams, too, is only unlinked from this one. */
  async #evictFrom(
    { name }: LimitedUpstream,
    { digest, size }: Pick<BlobUse, "digest" | "size">,
    tally: EvictionTally,
    reason: "age" | "quota",
  ): Promise<void> {
    const { metadata, evictor } = this.#options;
    tally.add(this.#options.budget.spaceOf(size));
    if (tally.isDryRun) return;
    this.#oversized.delete(digest);
    const visibleIn = await metadata.links.upstreams(digest);
    if (visibleIn.every((upstream) => upstream === name)) {
      await evictor.remove(digest, size, reason);
    } else await metadata.links.removeAll(digest, name);
  }

  #inBackground(work: () => Promise<void>): void {
    work().catch((error: unknown) => this.#options.onFailed(error));
  }
}
