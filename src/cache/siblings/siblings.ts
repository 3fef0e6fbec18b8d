import type { Digest } from "../../oci/digest.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { Link, RepositoryRef } from "../../store/metadata-store.ts";
import { toFault } from "../fetch/transient.ts";
import { UpstreamSource } from "../fetch/upstream-source.ts";
import { Yielding } from "../fetch/yielding.ts";
import type { Fill } from "../fill/fill.ts";
import type { Fills } from "../fill/fills.ts";
import type { StoredManifest } from "../results.ts";
import type { Upstream } from "../upstream.ts";
import { type Begun, Lane, type Sibling } from "./lane.ts";
import { type LayerOrdersOptions, LayerOrders } from "./layer-orders.ts";
import { Pull } from "./pull.ts";
import { type OnSwitched, type Usefulness, UsefulnessRecord } from "./usefulness.ts";

/** How long an upstream is left alone after a sibling could not be downloaded or stored, in milliseconds. */
const TROUBLE_MS = 60_000;
/** The same after it limited the request: it would limit those of clients next. */
const LIMITED_MS = 3_600_000;
/** How often it is seen whether the clients have left for whom siblings wait, in milliseconds. */
const LOOK_MS = 1000;
/** Of an upstream: pulls that are remembered. */
const MAX_PULLS = 256;

export interface SiblingsOptions extends Pick<LayerOrdersOptions, "load"> {
  readonly fills: Fills;
  /** Whether a blob is not stored. */
  readonly isMissing: (digest: Digest) => Promise<boolean>;
  /** Called when the upstream has given a blob of the repository, as for a client's request. */
  readonly onGiven: (from: From, link: Link, answeredAgo: number) => Promise<void>;
  /** Whether the store has room for so many bytes of an upstream without evicting anything. */
  readonly hasRoomFor: (upstream: UpstreamName, bytes: number) => boolean;
  readonly onSwitched?: OnSwitched;
  /** In milliseconds of the epoch. */
  readonly wallClock?: () => number;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

interface From {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
}

interface Planned {
  readonly pull: Pull;
  /** How many blobs above the lowest layer asked for are known. */
  known: number;
}

/** What is known of one upstream. */
interface Side {
  /** As it was last configured: one that is removed may come back with other settings. */
  upstream: Upstream;
  readonly lane: Lane<From>;
  /** By repository and manifest. */
  readonly pulls: Map<string, Planned>;
  troubleUntil: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Of blobs that the upstream has given, while that is being recorded. */
  readonly recording: Map<Digest, Promise<void>>;
}

/**
 * Downloads the other layers of an image that a client has begun to pull: those above the lowest one that it
 * asked for, since a node has all layers below that one. They are asked of the same repository, and so with the
 * same credentials, as the client's own request will be.
 */
export class Siblings {
  readonly #options: SiblingsOptions;
  readonly #now: () => number;
  readonly #orders: LayerOrders;
  readonly #usefulness: UsefulnessRecord;
  readonly #sides = new Map<UpstreamName, Side>();

  constructor(options: SiblingsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#orders = new LayerOrders({ load: options.load, now: this.#now });
    this.#usefulness = new UsefulnessRecord(this.#now, options.wallClock, options.onSwitched);
  }

  /** A client was sent a manifest. */
  served(repo: RepositoryRef, manifest: Pick<StoredManifest, "digest" | "mediaType">): void {
    this.#orders.served(repo, manifest);
  }

  /** What came of it, since the start. */
  usefulness(upstream: UpstreamName): Usefulness {
    return this.#usefulness.of(upstream);
  }

  /** How many downloads are kept in memory to see whether clients still read them. */
  get watched(): number {
    const pulls = this.#sides.values().flatMap((side) => side.pulls.values());
    return pulls.reduce((sum, { pull }) => sum + pull.asking, 0);
  }

  /** Whether a pull is about to ask for the blob. */
  isPlanned(digest: Digest): boolean {
    return this.#sides.values().some(({ lane }) => lane.expects(digest));
  }

  /**
   * A client asks for a blob.
   *
   * @returns whether it is the first one to do so after the blob was downloaded ahead
   */
  asked({ upstream, repository }: RepositoryRef, digest: Digest): boolean {
    const side = this.#sides.get(upstream);
    if (!side) return false;
    if (!this.#usefulness.asked(upstream, digest)) return false;
    for (const [key, { pull }] of side.pulls) {
      if (key.startsWith(`${repository}@`)) pull.asked(undefined, this.#now());
    }
    return true;
  }

  /** Resolves once it is recorded that the upstream has given a blob, if that is just being done. */
  recorded({ upstream }: RepositoryRef, digest: Digest): Promise<void> | undefined {
    return this.#sides.get(upstream)?.recording.get(digest);
  }

  /** A client asks for all of a blob that is not stored. Its fill is running. */
  missed(upstream: Upstream, repo: RepositoryRef, digest: Digest): void {
    const side = this.#sideOf(upstream);
    const fill = this.#options.fills.running(digest, repo.upstream);
    side.lane.asked(digest);
    side.lane.makeWay();
    if (fill) void fill.ended.then(() => side.lane.proceed());
    void this.#plan(side, { upstream, repo }, digest, fill);
  }

  /** A request of a client is about to ask the upstream for bytes: it waits for no sibling's connection. */
  makeWay({ settings, registry }: Upstream): void {
    if (!registry.hasRoom) this.#sides.get(settings.name)?.lane.makeWay(false);
  }

  async #plan(side: Side, from: From, layer: Digest, fill: Fill | undefined): Promise<void> {
    const { repo } = from;
    const above = await this.#orders.above(repo, layer);
    if (!above) return;
    const planned = this.#pullOf(side, `${repo.repository}@${above.manifest}`);
    planned.pull.asked(fill, this.#now());
    if (fill) void fill.ended.then(() => planned.pull.ended(fill));
    const { blobs } = above;
    if (blobs.length <= planned.known || !this.#isWelcome(side, from)) return;
    if (above.isCertain) planned.known = blobs.length;
    const missing: Sibling<From>[] = [];
    for (const [at, { digest, size }] of blobs.entries()) {
      if (this.#options.fills.running(digest, repo.upstream)) continue;
      if (!(await this.#isMissing(digest))) continue;
      // The topmost layer has the same position, wherever the plan begins.
      const position = at - blobs.length;
      missing.push({ digest, size, position, repo: from, pull: planned.pull });
    }
    side.lane.add(missing);
    this.#watch(side);
  }

  async #isMissing(digest: Digest): Promise<boolean> {
    // A store that cannot tell is not one to add to.
    return this.#options.isMissing(digest).catch(() => false);
  }

  #pullOf({ pulls }: Side, key: string): Planned {
    const now = this.#now();
    const known = pulls.get(key);
    if (known?.pull.isAlive(now)) return known;
    const planned: Planned = { pull: new Pull(now), known: 0 };
    pulls.delete(key);
    pulls.set(key, planned);
    const [oldest] = pulls.keys();
    if (pulls.size > MAX_PULLS && oldest !== undefined) pulls.delete(oldest);
    return planned;
  }

  #sideOf(upstream: Upstream): Side {
    const { name } = upstream.settings;
    const { maxConnections } = upstream.registry;
    const { fills } = this.#options;
    const known = this.#sides.get(name);
    if (known) {
      known.upstream = upstream;
      return known;
    }
    const lane: Lane<From> = new Lane({
      share: fills.shareOf({ upstream: name, maxConnections }),
      asked: () => fills.askedCount(name),
      // As many as the limiter of connections gives one upstream, if others need few.
      connections: () => Math.min(side.upstream.registry.maxConnections, (fills.downloads * 3) / 4),
      isAllowed: (size, from) => this.#isAllowed(side, from, size),
      begin: (sibling) => this.#begin(side, sibling),
      now: this.#now,
    });
    const side: Side = {
      upstream,
      lane,
      pulls: new Map(),
      troubleUntil: -Infinity,
      timer: undefined,
      recording: new Map(),
    };
    this.#sides.set(name, side);
    return side;
  }

  /** Whether anything of an upstream may be downloaded ahead, as soon as it has room. */
  #isWelcome({ troubleUntil }: Side, { upstream: { settings, registry } }: From): boolean {
    if (settings.prefetch === "off" || this.#now() < troubleUntil) return false;
    return this.#usefulness.isOn(settings.name) && registry.isAtEase;
  }

  #isAllowed(side: Side, from: From, size: number): boolean {
    const { settings, registry } = from.upstream;
    if (!this.#isWelcome(side, from) || !registry.hasRoom) return false;
    return this.#options.hasRoomFor(settings.name, size);
  }

  #begin(side: Side, sibling: Sibling<From>): Begun | undefined {
    const { fills } = this.#options;
    const { digest, size, repo: from } = sibling;
    const { upstream, repo } = from;
    if (fills.running(digest, repo.upstream)) return undefined;
    const yielding = new Yielding(() => {
      side.lane.asked(digest);
      side.lane.proceed();
    });
    const source = new UpstreamSource(upstream, repo, digest, () => !yielding.isAsked);
    const fill = fills.isStopping ? undefined : fills.start(digest, source, { size, yielding });
    if (!fill) return undefined;
    this.#usefulness.begun(repo.upstream, digest);
    void this.#see(side, sibling, fill);
    return {
      get received() {
        return fill.received;
      },
      get isPaused() {
        return yielding.isPaused;
      },
      pause: () => yielding.pause(),
      resume: () => yielding.resume(),
      suspend: () => {
        yielding.leave();
        void fill.suspend();
      },
    };
  }

  async #see(side: Side, sibling: Sibling<From>, fill: Fill): Promise<void> {
    const { digest, size, repo: from } = sibling;
    const { upstream } = from.repo;
    try {
      await fill.started;
      const answeredAgo = fill.sources.answeredAgo(from.repo.repository);
      if (answeredAgo !== undefined) {
        await this.#record(side, from, { digest, size }, answeredAgo);
      }
      await fill.stored;
      this.#usefulness.stored(upstream);
      side.lane.ended(sibling, true);
    } catch (error) {
      // The observer of fills reports it.
      this.#usefulness.failed(upstream, digest);
      const { kind } = toFault(error).detail;
      const pause = kind === "upstream-rate-limited" ? LIMITED_MS : TROUBLE_MS;
      if (kind !== "cancelled") side.troubleUntil = this.#now() + pause;
      side.lane.ended(sibling, false);
    }
  }

  async #record({ recording }: Side, from: From, link: Link, answeredAgo: number): Promise<void> {
    const given = this.#options.onGiven(from, link, answeredAgo);
    recording.set(
      link.digest,
      given.catch(() => {}),
    );
    await given.finally(() => recording.delete(link.digest));
  }

  /** Looks from time to time, until nothing waits any more. */
  #watch(side: Side): void {
    if (side.timer !== undefined || side.lane.isIdle) return;
    side.timer = setTimeout(() => {
      side.timer = undefined;
      side.lane.proceed();
      this.#watch(side);
    }, LOOK_MS).unref();
  }
}
