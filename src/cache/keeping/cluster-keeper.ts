import type { Cluster } from "../../kubernetes/cluster.ts";
import { imageName } from "../../oci/image-reference.ts";
import type { KeptImages } from "../retention/pinned-blobs.ts";
import type { KeptFile, KeptImage } from "./kept-file.ts";

const DAY_MS = 86_400_000;
/** How often it is looked what runs, besides after changes, in milliseconds. */
const INTERVAL_MS = 60_000;
/** How often the file is written while nothing but time has passed, in milliseconds. */
const WRITE_MS = 3_600_000;
/** The most images that are kept: some 5 MB. */
const MAX_IMAGES = 20_000;
/** Of what pins and kept images may take of the store: the rest is for what else is pulled. */
const SHARE = 0.8;

export interface ClusterKeeperOptions {
  /** Undefined until it is begun to be read: what the file says is kept from the first moment. */
  readonly cluster: () => Pick<Cluster, "images" | "state"> | undefined;
  readonly file: KeptFile;
  /** How long an image stays after the cluster last ran it. */
  readonly days: number;
  /** In bytes. */
  readonly maxSize: () => number;
  readonly keep: (kept: KeptImages) => void;
  /** The file could not be written, or what runs could not be looked at. */
  readonly failed: (error: unknown) => void;
  /** The clock, monotonic, in milliseconds. */
  readonly now?: () => number;
}

/**
 * Keeps from eviction what a cluster runs, for as long as it runs and some days after. These days pass only while
 * the cluster can be read: one that is away takes nothing away. What people pinned is another matter.
 */
export class ClusterKeeper implements Disposable {
  readonly #options: ClusterKeeperOptions;
  readonly #now: () => number;
  readonly #stop = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  /** By name. What runs comes first. */
  #kept: ReadonlyMap<string, KeptImage>;
  /** When the cluster was last read completely. */
  #readAt: number | undefined;
  #writtenAt = -Infinity;
  #running: Promise<void> | undefined;
  #isStale = false;

  constructor(options: ClusterKeeperOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#kept = byName(options.file.read());
    this.#apply();
    this.#timer = setInterval(() => void this.update(), INTERVAL_MS).unref();
  }

  /** How many images are kept. */
  get count(): number {
    return this.#kept.size;
  }

  /** To be called when the cluster has changed. Resolves when that is taken up; never rejects. */
  update(): Promise<void> {
    this.#isStale = true;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    return this.#running;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { failed } = this.#options;
    while (this.#isStale && !this.#stop.signal.aborted) {
      this.#isStale = false;
      try {
        await this.#update();
      } catch (error) {
        if (!this.#stop.signal.aborted) failed(error);
      }
    }
  }

  async #update(): Promise<void> {
    const { days } = this.#options;
    const cluster = this.#options.cluster();
    if (!cluster?.state.isCurrent) {
      // The time until it is back does not count.
      this.#readAt = undefined;
      return;
    }
    const next = new Map<string, KeptImage>();
    for await (const { image, isRunning } of cluster.images(this.#stop.signal)) {
      if (isRunning && next.size < MAX_IMAGES) next.set(imageName(image), { image, idle: 0 });
    }
    const now = this.#now();
    const passed = this.#readAt === undefined ? 0 : now - this.#readAt;
    this.#readAt = now;
    const idle = [...this.#kept]
      .filter(([name]) => !next.has(name))
      .map(([name, { image, idle: before }]) => [name, { image, idle: before + passed }] as const)
      .filter(([, kept]) => kept.idle < days * DAY_MS)
      .toSorted(([, a], [, b]) => a.idle - b.idle);
    for (const [name, kept] of idle) if (next.size < MAX_IMAGES) next.set(name, kept);
    const before = [...this.#kept.keys()];
    const isSame =
      next.size === before.length && [...next.keys()].every((name, at) => name === before[at]);
    this.#kept = next;
    if (!isSame) this.#apply();
    if (isSame && now - this.#writtenAt < WRITE_MS) return;
    this.#options.file.write([...next.values()]);
    this.#writtenAt = now;
  }

  #apply(): void {
    const { keep, maxSize } = this.#options;
    const images = [...this.#kept.values()].map(({ image }) => image);
    keep({ images, limit: SHARE * maxSize() });
  }
}

function byName(images: readonly KeptImage[]): Map<string, KeptImage> {
  return new Map(images.slice(0, MAX_IMAGES).map((kept) => [imageName(kept.image), kept]));
}
