import type { WarmList } from "../config/warm/warm-schema.ts";

/** How long after the start, or after a change, a list is warmed first, in milliseconds: pulls come first. */
const FIRST_MS = 30_000;
/** Timers are looked at as often, in milliseconds: clocks are set, and machines sleep. */
const LONGEST_TIMER_MS = 60_000;
/** How many lists are warmed at once: one that waits for a registry's limit keeps no other one waiting. */
const AT_ONCE = 3;
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
  /** What the clock said when that was determined. */
  plannedAt: number;
  isNew: boolean;
}

/** Warms the configured lists when they are due, some of them at once. */
export class WarmSchedule implements Disposable {
  readonly #options: WarmScheduleOptions;
  readonly #now: () => number;
  readonly #planned = new Map<string, Planned>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The names of those that are being warmed. */
  readonly #running = new Set<string>();
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
      const plannedAt = this.#now();
      const dueAt = plannedAt + FIRST_MS;
      this.#planned.set(list.name, { list, text, dueAt, plannedAt, isNew: true });
    }
    this.#wait();
  }

  /** Begins what is due: the earliest first. Resolves once that is warmed, and what has become due meanwhile. */
  async look(): Promise<void> {
    this.#heedClock();
    const begun: Promise<void>[] = [];
    for (let due = this.#due; due; due = this.#due) begun.push(this.#warm(due));
    this.#wait();
    await Promise.all(begun);
  }

  async #warm(due: Planned): Promise<void> {
    const { name, schedule } = due.list;
    this.#running.add(name);
    try {
      const hasBegun = await this.#options.run(due.list);
      const now = this.#now();
      due.dueAt = hasBegun ? schedule.next(now) : now + RETRY_MS;
      due.plannedAt = now;
      due.isNew = false;
    } finally {
      this.#running.delete(name);
    }
    await this.look();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** A clock that was ahead and is set back would keep lists waiting until it is there again. */
  #heedClock(): void {
    const now = this.#now();
    for (const planned of this.#planned.values()) {
      if (planned.plannedAt <= now) continue;
      planned.dueAt = planned.isNew ? now + FIRST_MS : planned.list.schedule.next(now);
      planned.plannedAt = now;
    }
  }

  /** Of those that are not being warmed. */
  get #earliest(): Planned | undefined {
    return [...this.#planned.values()]
      .filter(({ list }) => !this.#running.has(list.name))
      .toSorted((one, other) => one.dueAt - other.dueAt)[0];
  }

  /** What can be begun now. */
  get #due(): Planned | undefined {
    if (this.#isClosed || this.#running.size >= AT_ONCE) return undefined;
    const earliest = this.#earliest;
    return earliest && earliest.dueAt <= this.#now() ? earliest : undefined;
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const next = this.#earliest;
    if (!next || this.#isClosed || this.#running.size >= AT_ONCE) return;
    const left = Math.min(Math.max(0, next.dueAt - this.#now()), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => void this.look(), left).unref();
  }
}
