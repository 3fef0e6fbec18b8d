import type { Drill, DrillReport } from "../api/drill.ts";
import type { Outages } from "../upstream/outages.ts";
import { DrillCounts, type DrilledRequest } from "./drill-counts.ts";
import type { DrillFile, StoredDrill } from "./drill-file.ts";

/** Why a drill cannot be begun, or ended. */
export class DrillError extends Error {
  override readonly name = "DrillError";

  constructor(
    readonly kind: "under-way" | "none",
    message: string,
  ) {
    super(message);
  }
}

export interface DrillEvents {
  /** One began, or goes on after a restart. */
  readonly begun: (drill: Drill) => void;
  readonly ended: (drill: Drill) => void;
  /** The file could not be written: a restart ends the drill, or has an ended one go on until its time. */
  readonly failed: (error: unknown) => void;
}

type Unready = NonNullable<Drill["unready"]>;

export interface DrillsOptions {
  readonly outages: Outages;
  readonly file: DrillFile;
  readonly events: DrillEvents;
  /** The images that are wanted of these upstreams, and are not here. Looked at as a drill begins and as it ends. */
  readonly unready?: (upstreams: readonly string[]) => Promise<Unready>;
  /** The clock, in milliseconds of the epoch. */
  readonly now?: () => number;
}

interface Current extends StoredDrill {
  readonly countedSince: number;
  readonly counts: DrillCounts;
  readonly timer: ReturnType<typeof setTimeout>;
  unready?: Unready;
}

/**
 * Drills: upstreams count as dead inside this cache for a while, and what could not be pulled then is reported. One at
 * a time. Each ends by itself, also after a crash: what is remembered over a restart is when it ends.
 */
export class Drills implements Disposable {
  readonly #options: DrillsOptions;
  readonly #now: () => number;
  #current: Current | undefined;
  /** One that is over, and whose report is not complete yet. */
  #ending: Drill | undefined;
  #last: Drill | undefined;

  constructor(options: DrillsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const stored = options.file.read();
    // A clock that was set back must not make it longer.
    if (stored && this.#now() >= stored.startedAt && this.#now() < stored.endsAt)
      this.#run(stored, this.#now());
    else if (stored) this.#forget();
  }

  /** The upstreams that count as dead now. */
  get upstreams(): readonly string[] {
    return this.#current?.upstreams ?? [];
  }

  /**
   * @param upstreams names of configured upstreams
   * @throws DrillError while another one goes on
   */
  begin(upstreams: readonly string[], seconds: number): Drill {
    if (this.#current) {
      const { upstreams: names, endsAt } = this.#current;
      const message = `a drill of ${names.join(", ")} goes on until ${timeText(endsAt)}`;
      throw new DrillError("under-way", message);
    }
    const startedAt = this.#now();
    const drill = {
      upstreams: [...new Set(upstreams)].toSorted(),
      startedAt,
      endsAt: startedAt + seconds * 1000,
    };
    try {
      this.#options.file.write(drill);
    } catch (error) {
      this.#options.events.failed(error);
    }
    return this.#report(this.#run(drill, startedAt));
  }

  /**
   * Ends the drill that goes on.
   *
   * @throws DrillError if there is none
   */
  async stop(): Promise<Drill> {
    if (!this.#current) throw new DrillError("none", "no drill goes on");
    return this.#end(this.#current);
  }

  get all(): DrillReport {
    const current = this.#current ? this.#report(this.#current) : this.#ending;
    return {
      ...(current ? { current } : {}),
      ...(this.#last ? { last: this.#last } : {}),
    };
  }

  get isUnderWay(): boolean {
    return this.#current !== undefined;
  }

  /** A node has asked for something. */
  count(request: DrilledRequest): void {
    if (this.#current?.upstreams.includes(request.upstream)) this.#current.counts.add(request);
  }

  /** The drill goes on when the cache is started again. */
  [Symbol.dispose](): void {
    clearTimeout(this.#current?.timer);
  }

  #run(drill: StoredDrill, countedSince: number): Current {
    const { outages, events } = this.#options;
    const left = drill.endsAt - this.#now();
    const current: Current = {
      ...drill,
      countedSince,
      counts: new DrillCounts(),
      timer: setTimeout(() => {
        if (this.#current === current) void this.#end(current);
      }, left).unref(),
    };
    this.#current = current;
    const reason = `a drill has it count as dead until ${timeText(drill.endsAt)}`;
    for (const upstream of drill.upstreams) outages.begin(upstream, reason);
    events.begun(this.#report(current));
    void this.#look(current);
    return current;
  }

  /** Returns the report once it is complete. The drill itself is over at once. */
  async #end(current: Current): Promise<Drill> {
    const { outages, events } = this.#options;
    clearTimeout(current.timer);
    this.#current = undefined;
    for (const upstream of current.upstreams) outages.end(upstream);
    const endedAt = this.#now();
    const ending = { ...this.#report(current), endedAt };
    this.#ending = ending;
    this.#forget();
    events.ended(ending);
    await this.#look(current);
    this.#last = { ...this.#report(current), endedAt };
    if (this.#ending === ending) this.#ending = undefined;
    return this.#last;
  }

  #report({ upstreams, startedAt, endsAt, countedSince, counts, unready }: Current): Drill {
    return {
      upstreams: [...upstreams],
      startedAt,
      endsAt,
      countedSince,
      ...counts.figures,
      ...(unready ? { unready } : {}),
    };
  }

  /** What cannot be looked at is left out: a drill does not fail for it. */
  async #look(current: Current): Promise<void> {
    // After a restart, those who know may not be put together yet.
    await Promise.resolve();
    const unready = await this.#options.unready?.(current.upstreams).catch(() => undefined);
    if (unready) current.unready = unready;
  }

  #forget(): void {
    try {
      this.#options.file.remove();
    } catch (error) {
      this.#options.events.failed(error);
    }
  }
}

/** For messages: to the second, in UTC. */
export function timeText(moment: number): string {
  return new Date(moment).toISOString().replace(/\.\d+Z$/, "Z");
}
