import type { WarmList } from "../config/warm/warm-schema.ts";

/** How long after the start, or after a change, a list is warmed first, in milliseconds: pulls come first. */
const FIRST_MS = 30_000;
/** Timers are looked at as often, in milliseconds: clocks are set, and machines sleep. */
const LONGEST_TIMER_MS = 60_000;
/** When a list is tried again that could not be begun, in milliseconds. */
const RETRY_MS = 60_000;

export interface WarmScheduleOptions {
  /** Warms a list. It must not reject; resolves with whether it could be begun. */
  readonly run: (list: WarmList) => Promise<boolean>;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
}

interface Planned {
  readonly list: WarmList;
  /** As which it is compared with what is configured next. */
  readonly text: string;
  dueAt: number;
}

/** Warms the configured lists when they are due, one after the other. */
export class WarmSchedule implements Disposable {
  readonly #options: WarmScheduleOptions;
  readonly #now: () => number;
  readonly #planned = new Map<string, Planned>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;
  #isClosed = false;

  constructor(options: WarmScheduleOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** The lists, and when each is due next, in milliseconds of the epoch. */
  get planned(): readonly { readonly list: WarmList; readonly dueAt: number }[] {
    return [...this.#planned.values()];
  }

  /** Applies the lists of a configuration: those that are new or changed are due soon. */
  configure(lists: readonly WarmList[]): void {
    const names = new Set(lists.map(({ name }) => name));
    for (const name of this.#planned.keys()) if (!names.has(name)) this.#planned.delete(name);
    for (const list of lists) {
      const text = JSON.stringify(list);
      if (this.#planned.get(list.name)?.text === text) continue;
      this.#planned.set(list.name, { list, text, dueAt: this.#now() + FIRST_MS });
    }
    this.#wait();
  }

  /** Begins what is due: the earliest first. */
  async look(): Promise<void> {
    if (this.#isRunning || this.#isClosed) return;
    this.#isRunning = true;
    try {
      for (;;) {
        const due = this.#earliest;
        if (!due || due.dueAt > this.#now() || this.#isClosed) return;
        const hasBegun = await this.#options.run(due.list);
        const now = this.#now();
        due.dueAt = hasBegun ? due.list.schedule.next(now) : now + RETRY_MS;
      }
    } finally {
      this.#isRunning = false;
      this.#wait();
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  get #earliest(): Planned | undefined {
    return [...this.#planned.values()].toSorted((one, other) => one.dueAt - other.dueAt)[0];
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const due = this.#earliest;
    if (!due || this.#isClosed || this.#isRunning) return;
    const left = Math.min(Math.max(0, due.dueAt - this.#now()), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => void this.look(), left).unref();
  }
}
