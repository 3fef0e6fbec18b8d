import type { Readers } from "../fetch/readers.ts";
import { withTimeout } from "../with-timeout.ts";

/** How long a reader may stand still before it is waited for no more, in milliseconds. */
const STANDSTILL_MS = 1000;

/** How far ahead of the fastest reader a fill may go, in bytes. */
export interface Lead {
  /** With what it receives in order: what is on its way then comes on top. */
  readonly inOrder: number;
  /** With the parts that further connections receive. */
  readonly parts: number;
}

/** One that reads a fill. */
export interface Follower {
  /** Up to where it has read, in bytes. */
  readonly position: number;
  /** By default, the fill goes on to the end. */
  readonly lead?: Lead | undefined;
}

/**
 * The followers of a fill. As long as there are any, the blob must not be evicted, and its partial file must stay
 * open. The fill belongs to none of them; but what is ahead of another replica is lost to it if this machine dies, so
 * that the fill keeps a lead over the fastest of all, as long as that one reads.
 */
export class Followers implements Readers {
  readonly #all = new Set<Follower>();
  #hadAny = false;
  #onIdle: (() => void) | undefined;
  #read = Promise.withResolvers<true>();
  /** Whether the fill waits for them. */
  #isAwaited = false;
  /** Where the fastest one was when it was last waited for in vain. */
  #stoodAt = -1;

  get count(): number {
    return this.#all.size;
  }

  /** Whether there ever was one. */
  get hadAny(): boolean {
    return this.#hadAny;
  }

  add(follower: Follower): void {
    this.#hadAny = true;
    this.#all.add(follower);
  }

  remove(follower: Follower): void {
    this.#all.delete(follower);
    this.read();
    if (this.count === 0) this.#onIdle?.();
  }

  /** To be called when one of them has read. */
  read(): void {
    if (!this.#isAwaited) return;
    this.#read.resolve(true);
    this.#read = Promise.withResolvers();
  }

  reach(offset: number): number {
    return Math.max(0, this.#limit("parts") - offset);
  }

  keepUp(offset: number): Promise<void> | undefined {
    return offset < this.#limit("inOrder") ? undefined : this.#wait(offset);
  }

  /** Calls back as soon as there is no follower, which may be at once. Keeps only the last callback. */
  onIdle(callback: () => void): void {
    this.#onIdle = callback;
    if (this.count === 0) callback();
  }

  /** Resolves as soon as there is no follower. */
  idle(): Promise<void> {
    return new Promise((resolve) => this.onIdle(resolve));
  }

  /** Up to where it may go. */
  #limit(way: keyof Lead): number {
    const farthest = this.#farthest;
    if (farthest === this.#stoodAt) return Infinity;
    return (
      farthest + Math.min(Infinity, ...[...this.#all].map(({ lead }) => lead?.[way] ?? Infinity))
    );
  }

  get #farthest(): number {
    return Math.max(-1, ...[...this.#all].map(({ position }) => position));
  }

  async #wait(offset: number): Promise<void> {
    this.#isAwaited = true;
    while (offset >= this.#limit("inOrder")) {
      const farthest = this.#farthest;
      const hasRead = await withTimeout(STANDSTILL_MS, this.#read.promise);
      if (!hasRead && this.#farthest === farthest) this.#stoodAt = farthest;
    }
    this.#isAwaited = false;
  }
}
