import { Fault } from "../../oci/fault.ts";

/** What a request is for. Each kind has room of its own, so that big transfers never keep small questions out. */
export type SlotKind = "blob" | "metadata" | "token";

export interface SlotLimits {
  /** Requests at once, in the whole process. */
  readonly total: number;
  /** Requests at once to one upstream: one that hangs leaves room for the others. */
  readonly each: number;
}

/**
 * Together they stay below Bun's 256 fetches in flight, past which a fetch waits for ever. Blobs stay
 * well below, since Bun holds up to 4 MiB for each whose reader, the disk, is slower than the network.
 */
export const SLOT_LIMITS: Readonly<Record<SlotKind, SlotLimits>> = {
  blob: { total: 96, each: 96 },
  metadata: { total: 48, each: 32 },
  token: { total: 24, each: 16 },
};

/** Who wait beyond this many are refused at once: they would not get their turn in time. */
const MAX_WAITING = 4096;

export interface SlotsOptions {
  readonly limits?: Partial<Record<SlotKind, SlotLimits>>;
  /** The longest wait for a slot, in milliseconds. */
  readonly deadline?: number;
}

/** Gives a slot back. Calling it again does nothing. */
export type Release = () => void;

interface Waiter {
  readonly upstream: string;
  readonly each: number;
  readonly grant: () => void;
}

/** How many requests may be under way, in the process and to each upstream. First come, first served. */
export class Slots {
  readonly #rooms: Readonly<Record<SlotKind, Semaphore>>;

  constructor(options: SlotsOptions = {}) {
    const limits = { ...SLOT_LIMITS, ...options.limits };
    const deadline = options.deadline ?? 10_000;
    this.#rooms = {
      blob: new Semaphore(limits.blob, deadline),
      metadata: new Semaphore(limits.metadata, deadline),
      token: new Semaphore(limits.token, deadline),
    };
  }

  /**
   * Waits for a slot.
   *
   * @param each the upstream's own limit, where it is lower than the kind's
   * @throws Fault `overloaded` after the deadline; the signal's reason where the caller gave up
   */
  acquire(
    kind: SlotKind,
    upstream: string,
    options: { readonly each?: number; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Release> {
    return this.#rooms[kind].enter(upstream, options.each ?? Infinity, options.signal);
  }

  /** Slots taken and requests that wait, for metrics. */
  usage(kind: SlotKind): { readonly taken: number; readonly waiting: number } {
    return this.#rooms[kind].usage;
  }
}

class Semaphore {
  readonly #limits: SlotLimits;
  readonly #deadline: number;
  readonly #taken = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();
  #total = 0;

  constructor(limits: SlotLimits, deadline: number) {
    this.#limits = limits;
    this.#deadline = deadline;
  }

  get usage(): { readonly taken: number; readonly waiting: number } {
    return { taken: this.#total, waiting: this.#waiting.size };
  }

  async enter(upstream: string, each: number, signal: AbortSignal | undefined): Promise<Release> {
    signal?.throwIfAborted();
    // Whoever is free to go now has nobody before it that could: `#admit` runs at every release.
    if (this.#hasRoom(upstream, each)) return this.#take(upstream);
    if (this.#waiting.size >= MAX_WAITING) throw new Fault({ kind: "overloaded", upstream });
    const { promise, resolve, reject } = Promise.withResolvers<Release>();
    const waiter: Waiter = { upstream, each, grant: () => resolve(this.#take(upstream)) };
    const leave = (reason: unknown): void => {
      this.#waiting.delete(waiter);
      reject(reason);
    };
    const onAbort = (): void => leave(signal?.reason);
    const timer = setTimeout(
      () => leave(new Fault({ kind: "overloaded", upstream })),
      this.#deadline,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(waiter);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #hasRoom(upstream: string, each: number): boolean {
    const taken = this.#taken.get(upstream) ?? 0;
    return this.#total < this.#limits.total && taken < Math.min(each, this.#limits.each);
  }

  #take(upstream: string): Release {
    this.#total += 1;
    this.#taken.set(upstream, (this.#taken.get(upstream) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#total -= 1;
      const left = (this.#taken.get(upstream) ?? 1) - 1;
      if (left > 0) this.#taken.set(upstream, left);
      else this.#taken.delete(upstream);
      this.#admit();
    };
  }

  /** Lets in who came first among those whose upstream has room; one that is full holds up nobody else. */
  #admit(): void {
    for (const waiter of this.#waiting) {
      if (this.#total >= this.#limits.total) return;
      if (!this.#hasRoom(waiter.upstream, waiter.each)) continue;
      this.#waiting.delete(waiter);
      waiter.grant();
    }
  }
}
