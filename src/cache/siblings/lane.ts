import type { Digest } from "../../oci/digest.ts";
import type { Descriptor } from "../../oci/manifest.ts";
import type { LineShare, LineUser } from "../fetch/segments/line-share.ts";
import type { Pull } from "./pull.ts";

/** Smaller blobs cost a round trip and little of the line, in bytes. */
const SMALL_BYTES = 1024 * 1024;
/** How many of them are downloaded at once, and their bytes altogether. */
const MAX_SMALL = 16;
const MAX_SMALL_BYTES = 4 * 1024 * 1024;
/** How long none is begun after one gave way to a request, which may need a token first, in milliseconds. */
const GIVEN_WAY_MS = 1000;
/** Blobs that wait. */
const MAX_WAITING = 1024;

/** A blob that a pull is expected to ask for. */
export interface Sibling<Repo> extends Pick<Descriptor, "digest" | "size"> {
  readonly repo: Repo;
  readonly pull: Pull;
  /** Where it is in the image: the lowest first. */
  readonly position: number;
}

/** The download of a sibling that no client has asked for yet. */
export interface Begun {
  /** In bytes; grows while it receives. */
  readonly received: number;
  readonly isPaused: boolean;
  pause(): boolean;
  resume(): void;
  /** Ends it. A later download goes on with its bytes. */
  suspend(): void;
}

export interface LaneOptions<Repo> {
  readonly share: LineShare;
  /** How many blobs clients are downloading from the upstream at the moment. */
  readonly asked: () => number;
  /** The most connections to the upstream at once. */
  readonly connections: () => number;
  /** Whether the upstream and the store bear one more, of so many bytes. */
  readonly isAllowed: (size: number, repo: Repo) => boolean;
  /** Starts a download; `ended` and `asked` of the lane follow. `undefined` if it need not be started. */
  readonly begin: (sibling: Sibling<Repo>) => Begun | undefined;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

interface Running<Repo> {
  readonly sibling: Sibling<Repo>;
  readonly begun: Begun;
  /** Whether it takes one of the further connections. */
  hasConnection: boolean;
  /** What it had received when it last began to. */
  receivedBefore: number;
}

/**
 * The siblings of an upstream: layers that pulls will ask for, and which of them are downloaded now. The
 * lowest layer comes first, since a node unpacks from below. A large one takes one of the connections that
 * `LineShare` allows, after all segments of what clients wait for; so on a line that is full, there is none.
 */
export class Lane<Repo> implements LineUser {
  readonly rank = 2;
  readonly #options: LaneOptions<Repo>;
  /** In the order in which they are begun. */
  #waiting: Sibling<Repo>[] = [];
  readonly #running = new Map<Digest, Running<Repo>>();
  #givesWayUntil = -Infinity;

  constructor(options: LaneOptions<Repo>) {
    this.#options = options;
  }

  /** Blobs that wait. */
  get waiting(): readonly Sibling<Repo>[] {
    return this.#waiting;
  }

  /** Whether nothing waits or runs. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  /** Whether it waits, or runs and is not asked for yet. */
  expects(digest: Digest): boolean {
    return this.#running.has(digest) || this.#waiting.some((sibling) => sibling.digest === digest);
  }

  get own(): number {
    return this.#options.asked();
  }

  get isReceiving(): boolean {
    return this.#large.every(
      ({ begun, receivedBefore }) => begun.isPaused || begun.received > receivedBefore,
    );
  }

  /** Expects that a pull asks for these. */
  add(siblings: readonly Sibling<Repo>[]): void {
    const known = new Set(this.#waiting.map(({ digest }) => digest));
    const added = siblings.filter(({ digest }) => !known.has(digest) && !this.#running.has(digest));
    this.#waiting = [...this.#waiting, ...added]
      .toSorted(
        (one, other) => one.pull.startedAt - other.pull.startedAt || one.position - other.position,
      )
      .slice(0, MAX_WAITING);
    this.proceed();
  }

  /** A client asks for a blob, or has it downloaded: whether it runs here. */
  asked(digest: Digest): boolean {
    this.#waiting = this.#waiting.filter((sibling) => sibling.digest !== digest);
    return this.#end(digest);
  }

  /** The download of a sibling has ended. If it failed, the rest of its image is left to the clients. */
  ended({ digest, pull }: Sibling<Repo>, isStored: boolean): void {
    if (!isStored) this.#waiting = this.#waiting.filter((sibling) => sibling.pull !== pull);
    this.#end(digest);
    this.proceed();
  }

  /** Begins what may be begun now. */
  proceed(): void {
    const { share } = this.#options;
    this.#dropLeft();
    this.#suspendRefused();
    if (this.isIdle) share.leave(this);
    else share.join(this);
    this.#beginSmall();
    this.#useIdleLine();
  }

  /**
   * A client has begun a download: if that leaves too few connections, the last large sibling gives its own
   * back. One that had the line to itself is now one of the further connections, or none.
   *
   * @param hasRoom whether a request of a client gets a connection; if not, a small sibling gives way as well
   */
  makeWay(hasRoom = true): void {
    const { share } = this.#options;
    for (const running of this.#large) {
      if (running.hasConnection || running.begun.isPaused) continue;
      if (share.take(false)) running.hasConnection = true;
      else this.#pause(running);
    }
    if (hasRoom && this.#connectionsLeft >= 0) return;
    if (!hasRoom) this.#givesWayUntil = this.#options.now() + GIVEN_WAY_MS;
    const isLast = ({ begun }: Running<Repo>): boolean => !begun.isPaused;
    const last =
      this.#large.findLast(isLast) ?? (hasRoom ? undefined : this.#small.findLast(isLast));
    if (last) this.#pause(last);
  }

  tryConnect(): boolean {
    const { share } = this.#options;
    if (share.running >= share.allowed) return false;
    return this.#beginLarge(true);
  }

  disconnect(): boolean {
    const last = this.#large.findLast(
      ({ begun, hasConnection }) => hasConnection && !begun.isPaused,
    );
    return last !== undefined && this.#pause(last);
  }

  /** How many more connections the upstream may get; below zero if clients wait for some. */
  get #connectionsLeft(): number {
    const { share, asked, connections } = this.#options;
    const others = [...this.#running.values()].filter(
      ({ begun, hasConnection }) => !hasConnection && !begun.isPaused,
    );
    return connections() - asked() - share.running - others.length;
  }

  get #large(): Running<Repo>[] {
    return [...this.#running.values()].filter(({ sibling }) => sibling.size >= SMALL_BYTES);
  }

  get #small(): Running<Repo>[] {
    return [...this.#running.values()].filter(({ sibling }) => sibling.size < SMALL_BYTES);
  }

  #pause(running: Running<Repo>): boolean {
    if (!running.begun.pause()) return false;
    this.#disconnected(running);
    return true;
  }

  /** Of the large ones, the first that is paused, or else the first that waits. */
  #beginLarge(hasConnection: boolean): boolean {
    const { share } = this.#options;
    if (this.#connectionsLeft <= 0) return false;
    const paused = this.#large.find(({ begun }) => begun.isPaused);
    if (paused) {
      if (!this.#isAllowed(paused.sibling)) return false;
      if (hasConnection && !share.take(false)) return false;
      paused.hasConnection = hasConnection;
      paused.receivedBefore = paused.begun.received;
      paused.begun.resume();
      return true;
    }
    for (;;) {
      const next = this.#next(({ size }) => size >= SMALL_BYTES);
      if (!next) return false;
      if (hasConnection && !share.take(false)) return false;
      if (this.#begin(next, hasConnection)) return true;
      if (hasConnection) share.release();
    }
  }

  #beginSmall(): void {
    const { share } = this.#options;
    for (;;) {
      const running = this.#small.filter(({ begun }) => !begun.isPaused);
      const bytes = running.reduce((sum, { sibling }) => sum + sibling.size, 0);
      if (running.length >= Math.min(MAX_SMALL, share.limit - share.running)) return;
      if (this.#connectionsLeft <= 0) return;
      const paused = this.#small.find(({ begun }) => begun.isPaused);
      if (paused && !this.#isAllowed(paused.sibling)) return;
      if (paused) {
        paused.begun.resume();
        continue;
      }
      const next = this.#next(({ size }) => size < SMALL_BYTES);
      if (!next || (running.length > 0 && bytes + next.size > MAX_SMALL_BYTES)) return;
      this.#begin(next, false);
    }
  }

  /** While clients download nothing, one large sibling has the line to itself. */
  #useIdleLine(): void {
    if (this.#options.asked() > 0 || this.#large.some(({ begun }) => !begun.isPaused)) return;
    this.#beginLarge(false);
  }

  /** The first that waits of those that match, unless it must not be begun. */
  #next(matches: (sibling: Sibling<Repo>) => boolean): Sibling<Repo> | undefined {
    this.#dropLeft();
    const next = this.#waiting.find(matches);
    return next && this.#isAllowed(next) ? next : undefined;
  }

  #isAllowed({ size, repo }: Sibling<Repo>): boolean {
    if (this.#options.now() < this.#givesWayUntil) return false;
    return this.#options.isAllowed(size, repo);
  }

  #begin(sibling: Sibling<Repo>, hasConnection: boolean): boolean {
    this.#waiting = this.#waiting.filter((other) => other !== sibling);
    const begun = this.#options.begin(sibling);
    if (!begun) return false;
    this.#running.set(sibling.digest, { sibling, begun, hasConnection, receivedBefore: 0 });
    return true;
  }

  /** What nobody is going to ask for is not begun any more. What is begun is finished: half of it is worth nothing. */
  #dropLeft(): void {
    const now = this.#options.now();
    const pulls = new Map(this.#waiting.map(({ pull }) => [pull, pull.isAlive(now)]));
    this.#waiting = this.#waiting.filter(({ pull }) => pulls.get(pull));
  }

  /** What is paused, may not go on, and is for clients that have left would be in memory for ever. */
  #suspendRefused(): void {
    for (const { begun, sibling } of this.#running.values()) {
      if (!begun.isPaused || sibling.pull.isAlive(this.#options.now())) continue;
      if (this.#options.isAllowed(sibling.size, sibling.repo)) continue;
      this.#end(sibling.digest);
      begun.suspend();
    }
  }

  #end(digest: Digest): boolean {
    const running = this.#running.get(digest);
    if (!running) return false;
    this.#running.delete(digest);
    this.#disconnected(running);
    return true;
  }

  #disconnected(running: Running<Repo>): void {
    if (!running.hasConnection) return;
    running.hasConnection = false;
    this.#options.share.release();
  }
}
