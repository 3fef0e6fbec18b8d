import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { Extent } from "../../store/extents.ts";
import { SingleFlight } from "../single-flight.ts";
import { Commits } from "./commits.ts";
import { Detours } from "./detours.ts";
import { Fill } from "./fill.ts";
import type { FillOptions, FillsOptions } from "./fill-options.ts";
import { FillMemory } from "./fill-memory.ts";
import { FillTable } from "./fill-table.ts";
import { LineShare } from "../fetch/segments/line-share.ts";
import { type NearSources, NO_NEAR_SOURCES } from "../fetch/near-sources.ts";
import type { Source } from "../fetch/source.ts";
import type { Yielding } from "../fetch/yielding.ts";
import { toFault } from "../fetch/transient.ts";

/** Of each upstream, besides one connection for each download. */
const MAX_FURTHER_CONNECTIONS = 23;

export interface FillEvent {
  readonly digest: Digest;
  /** Name of the source with which the fill began. */
  readonly source: string;
  /** In bytes. */
  readonly size?: number;
  /** What came from the upstream, and how long that took; absent if not all came from there. */
  readonly downloaded?: { readonly bytes: number; readonly milliseconds: number };
  /** Set if the fill failed, or if another upstream's blob shows that what it sent was wrong. */
  readonly fault?: Fault;
}

export interface FillObserver {
  /**
   * A fill has stored its blob.
   *
   * @param isFromUpstream whether some of its bytes came from the upstream, and not all from beside it
   */
  stored(blob: StoredBlob, isFromUpstream: boolean): Promise<void>;
  ended(event: FillEvent): void;
}

/**
 * All downloads in progress: single-flight, so at most one fill per digest and upstream. Two upstreams
 * that are asked for one blob at the same moment both send it, since neither may decide how fast, how
 * large or what the other one's blob is. The first fill that has verified the blob stores it, and the
 * others go on from there.
 */
export class Fills {
  /** How many blobs are downloaded at once. */
  readonly downloads: number;
  readonly #near: NearSources;
  readonly #onDemand: () => void;
  readonly #store: BlobStore;
  readonly #observer: FillObserver;
  readonly #running = new FillTable();
  /** Resolves for each running fill once its blob is stored and recorded, or the fill has failed. */
  readonly #watches = new Map<Fill, Promise<void>>();
  readonly #puts = new SingleFlight<StoredBlob>();
  /** How many `using` calls there are for each digest. */
  readonly #used = new Map<Digest, number>();
  /** Of fills that were started before any client asked for them. */
  readonly #yielding = new WeakMap<Fill, Yielding>();
  readonly #commits: Commits;
  readonly detours: Detours;
  readonly #memory = new FillMemory();
  /** By upstream: how its large blobs share its line. */
  readonly #shares = new Map<UpstreamName, LineShare>();
  readonly #furtherConnections: number;
  /** Completed fills whose followers are still reading. */
  readonly #followed = new FillTable();
  #isStopping = false;

  constructor(store: BlobStore, observer: FillObserver, options: FillsOptions = {}) {
    const { downloads = 96, near = NO_NEAR_SOURCES, onDemand = () => {} } = options;
    this.downloads = downloads;
    this.#near = near;
    this.#onDemand = onDemand;
    this.#store = store;
    this.#commits = new Commits(store, downloads);
    this.detours = new Detours(Math.ceil(downloads / 4));
    this.#furtherConnections = Math.min(MAX_FURTHER_CONNECTIONS, Math.floor(downloads / 4));
    this.#observer = observer;
  }

  /** How many fills are running. */
  get count(): number {
    return this.#running.size;
  }

  /** How many connections the running fills have. */
  get connections(): number {
    return [...this.#running].reduce((sum, { ahead }) => sum + 1 + ahead.connections, 0);
  }

  /** Whether the cache shuts down: then no fill is started. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** How many of the running fills clients have asked for, of an upstream. */
  askedCount(upstream: UpstreamName): number {
    let count = 0;
    for (const fill of this.#running) {
      const isAsked = this.#yielding.get(fill)?.isAsked ?? true;
      if (isAsked && fill.upstream === upstream) count += 1;
    }
    return count;
  }

  /** The running fills, in order of their start. */
  get all(): readonly Fill[] {
    return [...this.#running].toSorted((one, other) => one.since - other.since);
  }

  /** How many blobs clients have got that are still being stored. */
  get storing(): number {
    return this.all.filter(({ isVerified }) => isVerified).length;
  }

  /** Resolves once the blobs that clients have got by now are stored, or could not be. */
  async settled(): Promise<void> {
    const verified = [...this.#watches].filter(([{ isVerified }]) => isVerified);
    await Promise.allSettled(verified.map(([, watch]) => watch));
  }

  running(digest: Digest, upstream: UpstreamName): Fill | undefined {
    return this.#running.get(digest, upstream);
  }

  /** Resolves once a fill that nobody wants any more has closed its partial file: a new one goes on with that. */
  suspended(digest: Digest, upstream: UpstreamName): Promise<void> | undefined {
    const fill = this.running(digest, upstream);
    return fill && this.#yielding.get(fill)?.isLeft ? this.#watches.get(fill) : undefined;
  }

  /** Whether the blob is being filled or put or used, or followers of a completed fill still read it. */
  inUse(digest: Digest): boolean {
    if (this.#used.has(digest) || this.#puts.isRunning(digest)) return true;
    return this.#running.has(digest) || this.#followed.has(digest);
  }

  /** Keeps a blob from being evicted during `work`, which may record that it is stored. */
  async using<Value>(digest: Digest, work: () => Promise<Value>): Promise<Value> {
    this.#used.set(digest, (this.#used.get(digest) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#used.get(digest) ?? 1) - 1;
      if (left > 0) this.#used.set(digest, left);
      else this.#used.delete(digest);
    }
  }

  /**
   * Returns the running fill of this digest and upstream, to which `source` is added, or starts one.
   *
   * @param size of the blob in bytes, if a manifest names it
   * @param part what the client wants, if it is a part
   * @param near what one that starts asks before its source; by default, all that is near
   * @throws Fault of kind `cancelled` while the cache shuts down
   */
  startOrJoin(
    digest: Digest,
    source: Source,
    size?: number,
    part?: Extent,
    near?: readonly Source[],
  ): Fill {
    const running = this.#running.get(digest, source.upstream);
    this.#onDemand();
    if (!running) return this.start(digest, source, { size, part, ...(near ? { near } : {}) });
    running.sources.add(source);
    this.#yielding.get(running)?.ask();
    return running;
  }

  /**
   * Starts a fill, of which none may be running for this digest and upstream. One that yields belongs to no
   * client: the first that joins it asks for it.
   *
   * @throws Fault of kind `cancelled` while the cache shuts down
   */
  start(
    digest: Digest,
    source: Source,
    options: Pick<FillOptions, "size" | "part" | "yielding" | "near">,
  ): Fill {
    if (this.#isStopping)
      throw new Fault({ kind: "cancelled", reason: "the cache is shutting down" });
    const fill = new Fill(digest, this.#commits, source, {
      near: this.#nearOf(digest, source, options.size),
      ...options,
      memory: this.#memory,
      share: this.shareOf(source),
      commit: (writer) => this.#commits.commit(writer),
    });
    this.#running.add(fill);
    if (options.yielding) this.#yielding.set(fill, options.yielding);
    const watch = this.#watch(fill, source.name).finally(() => this.#watches.delete(fill));
    this.#watches.set(fill, watch);
    return fill;
  }

  #nearOf(digest: Digest, { upstream, vouchesFor }: Source, size?: number): readonly Source[] {
    return vouchesFor === undefined
      ? []
      : this.#near.of({ upstream, repository: vouchesFor }, digest, size);
  }

  /** How the downloads from an upstream share its line. */
  shareOf({
    upstream,
    maxConnections = Infinity,
  }: Pick<Source, "upstream" | "maxConnections">): LineShare {
    const share = this.#shares.get(upstream) ?? new LineShare();
    // The others are left for what clients ask for.
    share.limit = Math.min(this.#furtherConnections, Math.floor(maxConnections / 2));
    this.#shares.set(upstream, share);
    return share;
  }

  /** Stores bytes from memory, those of a manifest. They must match the digest. */
  put(digest: Digest, bytes: Uint8Array): Promise<StoredBlob> {
    return this.#puts.run(digest, async () => {
      const blob = (await this.#store.open(digest)) ?? (await this.#write(digest, bytes));
      for (const fill of this.#running.ofDigest(digest)) fill.adopt(blob);
      return blob;
    });
  }

  /**
   * Lets running fills finish for `grace` milliseconds, then suspends the rest, so that the next
   * process resumes them. Those that no client has asked for are suspended at once. New fills are refused.
   */
  async drain(grace: number): Promise<void> {
    this.#isStopping = true;
    const unasked = [...this.#running].filter(
      (fill) => this.#yielding.get(fill)?.isAsked === false,
    );
    await Promise.all(unasked.map((fill) => fill.suspend()));
    const all = Promise.allSettled([...this.#running].map((fill) => fill.stored));
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, grace);
    await Promise.race([all, promise]);
    clearTimeout(timer);
    await Promise.all([...this.#running].map((fill) => fill.suspend()));
  }

  async #watch(fill: Fill, source: string): Promise<void> {
    const { digest } = fill;
    try {
      const blob = await fill.stored;
      if (fill.followers.count > 0) this.#watchFollowers(fill);
      // The others that download it go on from the stored blob.
      for (const other of this.#running.ofDigest(digest)) other.adopt(blob);
      if (!fill.isAdopted) await this.#observer.stored(blob, fill.sources.isFromUpstream);
      const { mismatch } = fill;
      this.#observer.ended({
        digest,
        source,
        ...(mismatch ? { fault: mismatch } : { size: blob.size, ...downloadedBy(fill, blob.size) }),
      });
    } catch (error) {
      const fault = toFault(error);
      this.#observer.ended({ digest, source, fault });
      // There can be no other writer before this one is closed. Requests meanwhile get this fault.
      await fill.ended;
    } finally {
      this.#running.delete(fill);
    }
  }

  #watchFollowers(fill: Fill): void {
    this.#followed.add(fill);
    fill.followers.onIdle(() => this.#followed.delete(fill));
  }

  /** Writes the bytes, in place of a partial file if there is one. */
  async #write(digest: Digest, bytes: Uint8Array): Promise<StoredBlob> {
    const resumed = await this.#store.writer(digest);
    if (resumed.length > 0) await resumed.discard();
    const writer = resumed.length > 0 ? await this.#store.writer(digest) : resumed;
    try {
      await writer.append(bytes);
      writer.verify();
      return await this.#commits.commit(writer);
    } catch (error) {
      await writer.discard().catch(() => {});
      throw error;
    }
  }
}

function downloadedBy(fill: Fill, size: number): Pick<FillEvent, "downloaded"> {
  if (fill.isAdopted || !fill.sources.isFromUpstream) return {};
  const milliseconds = Date.now() - fill.since;
  return { downloaded: { bytes: size - fill.resumedBytes, milliseconds } };
}
