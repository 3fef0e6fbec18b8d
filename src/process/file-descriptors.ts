import { closeSync, openSync, readFileSync, statSync } from "node:fs";

/** How many file descriptors this process may have; infinite where that is not known. */
export function descriptorLimit(): number {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
    return Number.isNaN(soft) ? Infinity : soft;
  } catch {
    return Infinity;
  }
}

/** How many file descriptors this process has. Linux 6.2 and newer count them in microseconds (proc_pid_fd(5)). */
export function descriptorCount(): number {
  try {
    return statSync("/proc/self/fd").size || lowestFree();
  } catch {
    // It is not Linux.
    return 0;
  }
}

/**
 * To list 20,000 descriptors takes 130 ms. A new one is always the lowest that is free (open(2)), so those below it
 * are in use, and others only until these are used up.
 */
function lowestFree(): number {
  try {
    const descriptor = openSync("/dev/null", "r");
    closeSync(descriptor);
    return descriptor;
  } catch {
    return descriptorLimit();
  }
}

/** With fewer than these, clients alone may use them up. */
const FEW = 4096;
/** Kept from clients, at the most. */
const MAX_RESERVE = 64;

/**
 * What file descriptors are for: clients may take all but a reserve, registries may take half of that, and the rest
 * is for the files of what is stored. Without any, nothing can be served, and the runtime aborts where it has to load
 * something.
 *
 * Hundreds of clients may be accepted before anything here runs, so the reserve consists of open files. They are
 * closed once no more clients are accepted.
 */
export class DescriptorBudget implements Disposable {
  readonly limit: number;
  readonly #reserve: number;
  readonly #count: () => number;
  readonly #held: number[] = [];

  constructor(limit: number = descriptorLimit(), count: () => number = descriptorCount) {
    this.limit = limit;
    this.#reserve = Math.min(MAX_RESERVE, Math.floor(limit / 4));
    this.#count = count;
  }

  /** Whether clients alone may use them up. */
  get areFew(): boolean {
    return this.limit <= FEW;
  }

  /** How many are in use. */
  get used(): number {
    return this.#count() - this.#held.length;
  }

  /** Whether clients should give up connections that they do not use. */
  get areScarce(): boolean {
    return this.used >= this.limit - 2 * this.#reserve;
  }

  /** Whether no more clients should be accepted. */
  get areForNoClient(): boolean {
    return this.used >= this.limit - this.#reserve;
  }

  /** Whether so many are free again that clients should be accepted. */
  get areForClients(): boolean {
    return this.used < this.limit - 1.25 * this.#reserve;
  }

  /** Whether no more connections to registries should be opened. */
  get areForNoUpstream(): boolean {
    return this.used >= this.limit - this.#reserve / 2;
  }

  /** The most downloads at once: each takes a connection and a file, and for moments a third descriptor. */
  get downloads(): number {
    return Math.max(4, Math.floor(this.limit / 8));
  }

  /** Keeps the reserve from clients that are about to be accepted. */
  hold(): void {
    try {
      while (this.#held.length < this.#reserve) this.#held.push(openSync("/dev/null", "r"));
    } catch {
      // Then there is less in reserve.
    }
  }

  /** Makes the reserve available. */
  release(): void {
    for (const descriptor of this.#held.splice(0)) closeSync(descriptor);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
