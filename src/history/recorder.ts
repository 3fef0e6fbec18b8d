import {
  DAY_MS,
  type Figures,
  type History,
  HOUR_MS,
  HOURS_KEPT_MS,
  MINUTE_MS,
  NO_FIGURES,
} from "../store/history-store.ts";
import type { UpstreamTotals } from "../telemetry/upstream-traffic.ts";
import { type Counted, difference, isNothing, plus } from "./figures.ts";
import type { KnownNodes } from "./nodes/known-nodes.ts";
import type { CountedTagPulls } from "./pulls/counted-tag-pulls.ts";
import type { ImageClients } from "./pulls/image-clients.ts";
import type { ActivityTotals, UpstreamActivity } from "./upstream-activity.ts";

/** Of how many upstreams figures of their own are kept in a minute. */
const MAX_UPSTREAMS = 64;
/** Takes the figures of the others. */
export const OTHER_UPSTREAMS = "other";

/** How often what is too old is removed, in minutes. */
const PRUNE_INTERVAL = 60;

/** What is read of the disk: `evicted` since the process started. In bytes. */
export interface DiskCount {
  readonly used: number;
  readonly evicted: number;
}

export interface RecorderOptions {
  readonly history: Pick<History, "add" | "prune" | "upstreams" | "of">;
  /** What was sent to clients since the process started, by upstream. */
  readonly traffic: () => Promise<ReadonlyMap<string, UpstreamTotals>>;
  readonly activity: UpstreamActivity;
  readonly disk: () => DiskCount;
  readonly nodes: Pick<KnownNodes, "changed">;
  readonly clients: Pick<ImageClients, "take" | "putBack">;
  readonly tagPulls: Pick<CountedTagPulls, "take" | "putBack">;
  /** Called with why a minute could not be written. It is written with the next one. */
  readonly onError: (error: unknown) => void;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** Writes what was counted to the history, each minute: a crash loses the last one. */
export class Recorder implements AsyncDisposable {
  readonly #options: RecorderOptions;
  readonly #now: () => number;
  /** What was written already, since the process started. */
  #written: ReadonlyMap<string, Counted> = new Map();
  #evicted = 0;
  /** When the minute began that is counted now. */
  #since: number;
  /** What is known of upstreams' speed from earlier processes. */
  #speeds: Promise<ReadonlyMap<string, Figures>> | undefined;
  #untilPrune = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #revision = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#since = this.#now();
    this.#schedule();
  }

  /** Grows with each minute that is written. */
  get revision(): number {
    return this.#revision;
  }

  /** The minute in which what is not written yet began, in milliseconds of the epoch. */
  get minute(): number {
    return this.#since - (this.#since % MINUTE_MS);
  }

  /** What has happened since the last minute was written. */
  async pending(): Promise<ReadonlyMap<string, Figures>> {
    return this.#figures(await this.#count());
  }

  /** Bytes that were evicted since the last minute was written. */
  get pendingEvicted(): number {
    return this.#options.disk().evicted - this.#evicted;
  }

  /** Writes what was counted until now. Never rejects. */
  write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write()).catch(this.#options.onError);
    return this.#writing;
  }

  /** Writes the last minute. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.write();
  }

  /** At the end of each minute of the clock. */
  #schedule(): void {
    const now = this.#now();
    const next = MINUTE_MS - (now % MINUTE_MS);
    this.#timer = setTimeout(() => {
      void this.write();
      this.#schedule();
    }, next).unref();
  }

  async #write(): Promise<void> {
    const { history, disk: readDisk, nodes, clients, tagPulls } = this.#options;
    const counted = await this.#count();
    const upstreams = bounded(await this.#figures(counted));
    const { used, evicted } = readDisk();
    const changed = nodes.changed();
    const pulled = clients.take();
    const ofTags = tagPulls.take();
    const disk = { used, evicted: evicted - this.#evicted };
    try {
      await history.add({
        minute: this.minute,
        upstreams,
        disk,
        nodes: changed.records,
        clients: pulled,
        tagPulls: ofTags,
      });
    } catch (error) {
      clients.putBack(pulled);
      tagPulls.putBack(ofTags);
      throw error;
    }
    changed.written();
    this.#written = counted;
    this.#evicted = evicted;
    this.#since = this.#now();
    this.#revision += 1;
    await this.#prune();
  }

  async #prune(): Promise<void> {
    this.#untilPrune -= 1;
    if (this.#untilPrune > 0) return;
    this.#untilPrune = PRUNE_INTERVAL;
    await this.#options.history.prune(this.#now());
    // Of an upstream that has become faster, what it was a month ago is forgotten.
    this.#speeds = undefined;
  }

  async #count(): Promise<ReadonlyMap<string, Counted>> {
    const all = new Map<string, { traffic?: UpstreamTotals; activity?: ActivityTotals }>();
    for (const [upstream, traffic] of await this.#options.traffic()) all.set(upstream, { traffic });
    for (const [upstream, activity] of this.#options.activity.totals) {
      // A copy: it is compared with what it will have become.
      all.set(upstream, { ...all.get(upstream), activity: { ...activity } });
    }
    return all;
  }

  async #figures(counted: ReadonlyMap<string, Counted>): Promise<Map<string, Figures>> {
    this.#speeds ??= this.#readSpeeds().catch(() => new Map());
    const speeds = await this.#speeds;
    const all = new Map<string, Figures>();
    for (const [upstream, now] of counted) {
      const before = this.#written.get(upstream) ?? {};
      const figures = difference(now, before, speeds.get(upstream) ?? NO_FIGURES);
      if (!isNothing(figures)) all.set(upstream, figures);
    }
    return all;
  }

  async #readSpeeds(): Promise<ReadonlyMap<string, Figures>> {
    const { history } = this.#options;
    const speeds = new Map<string, Figures>();
    const from = this.#now() - HOURS_KEPT_MS;
    const query = { resolution: HOUR_MS, from, step: HOURS_KEPT_MS + DAY_MS } as const;
    for (const upstream of await history.upstreams()) {
      const [all] = await history.of(upstream, query);
      if (all) speeds.set(upstream, all.figures);
    }
    return speeds;
  }
}

/** The figures of those of which most was asked, and of all others together. */
function bounded(all: ReadonlyMap<string, Figures>): ReadonlyMap<string, Figures> {
  if (all.size <= MAX_UPSTREAMS) return all;
  const sorted = [...all].toSorted(([, one], [, other]) => other.cacheable - one.cacheable);
  const kept = new Map(sorted.slice(0, MAX_UPSTREAMS));
  const others = sorted.slice(MAX_UPSTREAMS).map(([, figures]) => figures);
  const rest = others.reduce((sum, figures) => plus(sum, figures), NO_FIGURES);
  return kept.set(OTHER_UPSTREAMS, plus(rest, kept.get(OTHER_UPSTREAMS) ?? NO_FIGURES));
}
