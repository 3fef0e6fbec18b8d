import { setImmediate, setTimeout } from "node:timers/promises";
import type { UpstreamSettings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import type { BlobUse, MetadataStore } from "../../store/metadata-store.ts";
import { expirePartials } from "../../store/repair/expire-partials.ts";
import { LOW_WATER } from "../../store/disk/disk-budget.ts";
import type { QuotaEvents } from "../quota-events.ts";
import {
  type Evicted,
  type Evictor,
  BUSY_PAUSE_MS,
  BUSY_RETRIES,
  EvictionTally,
} from "./evictor.ts";

/** Contents that are looked at together; between them other work has its turn. */
const BATCH = 128;
/** Contents larger than their upstream's bound, until they are gone. More are evicted in their turn. */
const MOST_MISFITS = 64;

export interface UpstreamQuotasOptions {
  readonly store: BoundedBlobStore;
  readonly metadata: Pick<MetadataStore, "blobs" | "links">;
  readonly evictor: Evictor;
  /** As they are configured now. */
  readonly upstreams: () => ReadonlyMap<UpstreamName, UpstreamSettings>;
  /** Writes down what was used until now. */
  readonly flushUse: () => Promise<void>;
  /** Told of work that nobody waits for and that failed. */
  readonly failed: (error: unknown) => void;
  readonly now?: () => number;
}

/** What single upstreams may keep, by size and by age, besides the bound of the store. */
export class UpstreamQuotas implements QuotaEvents {
  readonly #options: UpstreamQuotasOptions;
  readonly #now: () => number;
  /** Bytes that an upstream shows: as they were counted, and what came since. Never too few. */
  readonly #sizes = new Map<UpstreamName, number>();
  /** Where pins or readers keep more than may be kept, the size at which it is tried again. */
  readonly #stuckAt = new Map<UpstreamName, number>();
  readonly #misfits = new Map<Digest, { readonly upstream: UpstreamName; readonly size: number }>();
  readonly #sweeping = new Map<UpstreamName, Promise<void>>();
  /** The youngest of those that were all taken for their age, so that they are not looked at again. */
  readonly #agedTo = new Map<UpstreamName, BlobUse>();

  constructor(options: UpstreamQuotasOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Takes what every bound asks for: ages, quotas, old beginnings, and the store's own.
   *
   * @param isThorough counts anew what was only added up until now
   */
  async enforce({ dryRun = false, isThorough = true } = {}): Promise<Evicted> {
    const { store, flushUse, evictor, upstreams } = this.#options;
    const expired = await expirePartials(store, this.#now(), dryRun);
    await flushUse().catch(() => {});
    const tally = new EvictionTally(dryRun);
    if (isThorough) this.#agedTo.clear();
    for (const upstream of upstreams().values()) {
      await this.#byAge(upstream, tally);
      const size = this.#sizes.get(upstream.name) ?? Infinity;
      if (isThorough || size > (upstream.maxSize ?? Infinity)) await this.#bySize(upstream, tally);
    }
    const swept = dryRun ? await evictor.wouldSweep(tally) : await evictor.sweep();
    return {
      blobs: tally.blobs + swept.blobs,
      bytes: tally.bytes + swept.bytes + expired,
    };
  }

  stored(digest: Digest, size: number): void {
    const bounded = this.#bounded();
    if (bounded.length === 0) return;
    this.#unattended(async () => {
      const seenIn = await this.#options.metadata.links.upstreams(digest);
      for (const upstream of bounded) {
        if (seenIn.includes(upstream.name)) this.#grew(upstream, digest, size);
      }
    });
  }

  linked(name: UpstreamName, digests: readonly Digest[]): void {
    const upstream = this.#bounded().find((one) => one.name === name);
    if (!upstream) return;
    this.#unattended(async () => {
      for (let first = 0; first < digests.length; first += BATCH) {
        const held = await this.#options.metadata.blobs.find(digests.slice(first, first + BATCH));
        for (const { digest, size } of held) this.#grew(upstream, digest, size);
      }
    });
  }

  #bounded(): UpstreamSettings[] {
    return [...this.#options.upstreams().values()].filter(({ maxSize }) => maxSize !== undefined);
  }

  #grew(upstream: UpstreamSettings, digest: Digest, size: number): void {
    const { name, maxSize = Infinity } = upstream;
    if (size > maxSize && this.#misfits.size < MOST_MISFITS) {
      this.#misfits.set(digest, { upstream: name, size });
    }
    // What was never counted is counted now.
    const total = (this.#sizes.get(name) ?? Infinity) + size;
    this.#sizes.set(name, total);
    if (total > Math.max(maxSize, this.#stuckAt.get(name) ?? 0) && !this.#sweeping.has(name)) {
      this.#unattended(async () => {
        await this.#options.flushUse().catch(() => {});
        await this.#bySize(upstream, new EvictionTally(false));
      });
    }
  }

  /** One at a time for each upstream. */
  async #bySize(upstream: UpstreamSettings, tally: EvictionTally): Promise<void> {
    const { name } = upstream;
    while (this.#sweeping.has(name)) await this.#sweeping.get(name);
    const sweep = this.#sweep(upstream, tally);
    this.#sweeping.set(
      name,
      sweep.catch(() => {}),
    );
    await sweep.finally(() => this.#sweeping.delete(name));
  }

  async #sweep(upstream: UpstreamSettings, tally: EvictionTally): Promise<void> {
    const { name, maxSize } = upstream;
    if (maxSize === undefined) return;
    const { blobs: contents } = this.#options.metadata;
    const { evictor } = this.#options;
    const pinned = (await evictor.pinned()).sizes;
    if (!tally.isDry) this.#sizes.set(name, 0);
    let size = 0;
    for await (const one of this.#shownBy(name, (last) => contents.page(BATCH, last?.digest))) {
      size += one.size;
    }
    let isOver = size > maxSize;
    for (let turn = 0; turn < BUSY_RETRIES; turn += 1) {
      if (turn > 0) await setTimeout(BUSY_PAUSE_MS);
      let isWaiting = false;
      const take = async (content: Pick<BlobUse, "digest" | "size">): Promise<void> => {
        if (pinned.has(content.digest)) return;
        if (evictor.isBusy(content.digest)) isWaiting = true;
        else {
          await this.#takeFrom(upstream, content, tally, "quota");
          size -= content.size;
        }
      };
      // What does not fit is not to push out all that does.
      const misfits = await this.#misfitsOf(name);
      for (const misfit of misfits) await take(misfit);
      const left = misfits.filter(({ digest }) => this.#misfits.has(digest));
      const aside = left.reduce((sum, misfit) => sum + misfit.size, 0);
      isOver &&= size - aside > LOW_WATER * maxSize;
      if (isOver && size - aside > (turn === 0 ? maxSize : LOW_WATER * maxSize)) {
        for await (const one of this.#shownBy(name, (last) =>
          contents.leastRecentlyUsed(BATCH, last),
        )) {
          if (size - aside <= LOW_WATER * maxSize) break;
          if (!this.#misfits.has(one.digest)) await take(one);
        }
      }
      if (!isWaiting || tally.isDry) break;
    }
    if (tally.isDry) return;
    this.#sizes.set(name, size + (this.#sizes.get(name) ?? 0));
    if (size > maxSize) this.#stuckAt.set(name, size + (1 - LOW_WATER) * maxSize);
    else this.#stuckAt.delete(name);
  }

  async #misfitsOf(name: UpstreamName): Promise<{ digest: Digest; size: number }[]> {
    const own = [...this.#misfits].filter(([, { upstream }]) => upstream === name);
    const digests = own.map(([digest]) => digest);
    const held = await this.#options.metadata.blobs.find(digests);
    const seen = await this.#options.metadata.links.visibleIn(name, digests);
    const still = held.filter(({ digest }) => seen.has(digest));
    for (const digest of digests) {
      if (!still.some((one) => one.digest === digest)) this.#misfits.delete(digest);
    }
    return still;
  }

  async #byAge(upstream: UpstreamSettings, tally: EvictionTally): Promise<void> {
    const { name, maxAge } = upstream;
    if (maxAge === undefined) return;
    const { evictor, metadata } = this.#options;
    const pinned = (await evictor.pinned()).sizes;
    const moment = this.#now() - maxAge;
    let to = this.#agedTo.get(name);
    let isWhole = true;
    const page = async (): Promise<BlobUse[]> => {
      const contents = await metadata.blobs.storedBefore(moment, BATCH, to);
      to = contents.at(-1) ?? to;
      return contents;
    };
    for await (const content of this.#shownBy(name, page)) {
      if (pinned.has(content.digest) || evictor.isBusy(content.digest)) isWhole = false;
      else await this.#takeFrom(upstream, content, tally, "age");
    }
    if (isWhole && to && !tally.isDry) this.#agedTo.set(name, to);
  }

  /** Of pages of contents those that an upstream shows, with pauses in which others are answered. */
  async *#shownBy(
    name: UpstreamName,
    page: (last?: BlobUse) => Promise<BlobUse[]>,
  ): AsyncGenerator<BlobUse> {
    let last: BlobUse | undefined;
    for (;;) {
      const contents = await page(last);
      last = contents.at(-1);
      if (!last) return;
      const digests = contents.map(({ digest }) => digest);
      const seen = await this.#options.metadata.links.visibleIn(name, digests);
      for (const content of contents) if (seen.has(content.digest)) yield content;
      await setImmediate();
    }
  }

  /** Content that other upstreams show stays for them: it is only out of sight here. */
  async #takeFrom(
    { name }: UpstreamSettings,
    { digest, size }: Pick<BlobUse, "digest" | "size">,
    tally: EvictionTally,
    why: "age" | "quota",
  ): Promise<void> {
    const { metadata, evictor } = this.#options;
    tally.add(size);
    if (tally.isDry) return;
    this.#misfits.delete(digest);
    const seenIn = await metadata.links.upstreams(digest);
    if (seenIn.every((one) => one === name)) await evictor.remove(digest, size, why);
    else await metadata.links.removeAll(digest, name);
  }

  #unattended(work: () => Promise<void>): void {
    work().catch((error: unknown) => this.#options.failed(error));
  }
}
