import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { Link, RepositoryRef } from "../../store/metadata-store.ts";
import { abortable } from "../../upstream/transport/abortable.ts";
import { UpstreamSource } from "../fetch/upstream-source.ts";
import { Yielding } from "../fetch/yielding.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import type { Upstream } from "../upstream.ts";
import { Lulls, type Yielder } from "./lulls.ts";

/** How many blobs of one upstream are downloaded at once: some, since small ones mostly wait for an answer. */
const MAX_PER_UPSTREAM = 4;

export interface BackgroundBlobsOptions {
  readonly store: Pick<BlobStore, "open">;
  readonly fills: Fills;
  /** Asks the upstream whether its repository shows a stored blob, unless that is known. */
  readonly confirm: (from: From, digest: Digest) => Promise<unknown>;
  /** Called when the upstream has given a blob of the repository, as for a client's request. */
  readonly onGiven: (from: From, link: Link, answeredAgo: number) => Promise<void>;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

interface From {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
}

/** A blob that is wanted, and where it is. */
export interface BackgroundBlob extends From {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

interface Download {
  readonly fill: Fill;
  readonly yielding: Yielding;
  /** How many wait for it. */
  users: number;
}

/**
 * Downloads blobs that no client waits for, of images that are wanted some day. They give way to all that
 * clients download. One that a client asks for goes on as its own.
 */
export class BackgroundBlobs {
  readonly #options: BackgroundBlobsOptions;
  readonly #lulls: Lulls;
  /** Those that no client has asked for, in the order in which they began. */
  readonly #downloads = new Map<Fill, Download>();
  /** The same, also while they are being recorded at their end. */
  readonly #own = new WeakSet<Fill>();
  /** Of upstreams: how many want to download, or do so. */
  readonly #busy = new Map<UpstreamName, number>();
  #users = 0;

  constructor(options: BackgroundBlobsOptions) {
    this.#options = options;
    this.#lulls = new Lulls(this.#yielder(), options.now);
  }

  /** A client begins to download something. */
  giveWay(): void {
    this.#lulls.giveWay();
  }

  /** Whether a blob or a manifest is stored. */
  async isStored(digest: Digest): Promise<boolean> {
    return (await this.#options.store.open(digest)) !== undefined;
  }

  /** How many bytes of a blob have been received, if it is being downloaded, for whomever that is. */
  received(upstream: UpstreamName, digest: Digest): number {
    return this.#options.fills.running(digest, upstream)?.received ?? 0;
  }

  /**
   * Resolves once a blob is stored, and its repository shows it. What another caller, or a client, is
   * downloading is shared.
   *
   * @returns whether it had to be downloaded
   * @throws Fault if that failed; the signal's reason if it is aborted. What was received is kept then.
   */
  async fetch(blob: BackgroundBlob, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    const isMissing = !(await this.isStored(blob.digest));
    if (isMissing) await this.#download(blob, signal);
    await this.#options.confirm(blob, blob.digest);
    return isMissing;
  }

  async #download(blob: BackgroundBlob, signal: AbortSignal): Promise<void> {
    const { name } = blob.upstream.settings;
    this.#users += 1;
    this.#lulls.start();
    try {
      await this.#place(name, blob.upstream.registry.maxConnections, signal);
      try {
        await this.#share(blob, signal);
      } finally {
        this.#busy.set(name, (this.#busy.get(name) ?? 1) - 1);
        this.#lulls.wake();
      }
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#lulls.stop();
    }
  }

  /** Waits for one of the places that each upstream has. */
  async #place(name: UpstreamName, connections: number, signal: AbortSignal): Promise<void> {
    const places = Math.max(1, Math.min(MAX_PER_UPSTREAM, Math.floor(connections / 2)));
    while ((this.#busy.get(name) ?? 0) >= places) await abortable(this.#lulls.next, signal);
    this.#busy.set(name, (this.#busy.get(name) ?? 0) + 1);
  }

  async #share(blob: BackgroundBlob, signal: AbortSignal): Promise<void> {
    const fill = await this.#running(blob, signal);
    const download = this.#downloads.get(fill);
    if (download) download.users += 1;
    try {
      await abortable(fill.stored, signal);
    } finally {
      if (download) this.#leave(download);
    }
  }

  /** The fill of a blob, as soon as there may be one. */
  async #running(blob: BackgroundBlob, signal: AbortSignal): Promise<Fill> {
    const { fills } = this.#options;
    const { name } = blob.upstream.settings;
    for (;;) {
      const leaving = fills.suspended(blob.digest, name);
      const running = leaving ? undefined : fills.running(blob.digest, name);
      if (running) return running;
      if (!leaving && this.#lulls.mayBegin) return this.#begin(blob);
      await abortable(leaving ?? this.#lulls.next, signal);
    }
  }

  #begin(blob: BackgroundBlob): Fill {
    const { upstream, repo, digest, size } = blob;
    const yielding: Yielding = new Yielding(() => {
      this.#downloads.delete(fill);
      this.#own.delete(fill);
    });
    const source = new UpstreamSource(upstream, repo, digest, () => !yielding.isAsked);
    const fill = this.#options.fills.start(digest, source, { size, yielding });
    this.#downloads.set(fill, { fill, yielding, users: 0 });
    this.#own.add(fill);
    void fill.ended.then(() => this.#downloads.delete(fill));
    void this.#see(blob, fill);
    return fill;
  }

  /** Records that the repository shows the blob, as soon as that is known: a client may join. */
  async #see({ upstream, repo, digest, size }: BackgroundBlob, fill: Fill): Promise<void> {
    try {
      await fill.started;
    } catch {
      // Whoever waits for the fill hears of it.
      return;
    }
    const answeredAgo = fill.sources.answeredAgo(repo.repository);
    if (answeredAgo === undefined) return;
    await this.#options.onGiven({ upstream, repo }, { digest, size }, answeredAgo).catch(() => {});
  }

  /** Nobody waits for it any more: what is received is kept for the next one. */
  #leave(download: Download): void {
    download.users -= 1;
    const { fill, yielding, users } = download;
    if (users > 0 || fill.isSettled || yielding.isAsked) return;
    yielding.leave();
    void fill.suspend();
  }

  #yielder(): Yielder {
    const downloads = this.#downloads;
    const { fills } = this.#options;
    return {
      areOthersDownloading: () =>
        fills.all.some((fill) => !fill.isVerified && !this.#own.has(fill)),
      get running() {
        return [...downloads.values()].filter(({ yielding }) => !yielding.isPaused).length;
      },
      pauseAll: () => downloads.forEach(({ yielding }) => yielding.pause()),
      resumeAll: () => downloads.forEach(({ yielding }) => yielding.resume()),
      resumeOne: () => {
        const paused = downloads.values().find(({ yielding }) => yielding.isPaused);
        paused?.yielding.resume();
      },
    };
  }
}
