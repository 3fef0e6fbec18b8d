import type { SharedStoreError } from "./shared-store-error.ts";
import { StoreBreaker } from "./store-breaker.ts";

/** What of a shared store works. Its reads may well go on where writes do not. */
export type SharedStoreState = "up" | "read-only" | "away";

export interface SharedStoreHealthEvents {
  /** A request has failed; called each time. */
  failed(operation: "read" | "write", error: SharedStoreError): void;
  /** Requests of this kind work again. */
  recovered(operation: "read" | "write"): void;
}

/** What is known of a shared store from the requests to it. */
export class SharedStoreHealth {
  readonly reads: StoreBreaker;
  readonly writes: StoreBreaker;
  readonly #events: SharedStoreHealthEvents;
  readonly #date: () => number;
  #state: SharedStoreState = "up";
  #since: number;

  /** @param date in milliseconds of the epoch */
  constructor(events: SharedStoreHealthEvents, date: () => number = Date.now) {
    this.reads = new StoreBreaker({ first: 2000, longest: 30_000 });
    this.writes = new StoreBreaker({ first: 5000, longest: 300_000 });
    this.#events = events;
    this.#date = date;
    this.#since = date();
  }

  get state(): SharedStoreState {
    return this.#state;
  }

  /** Since when it is in this state, in milliseconds of the epoch. */
  get since(): number {
    return this.#since;
  }

  readFailed(error: SharedStoreError): void {
    if (error.isLocal) {
      this.reads.abandoned();
      return;
    }
    this.reads.failed(error);
    this.#failed("read", error);
  }

  writeFailed(error: SharedStoreError): void {
    this.writes.failed(error);
    // Then there is nobody to read from either.
    if (error.isAbsence) this.reads.failed(error);
    this.#failed("write", error);
  }

  readSucceeded(): void {
    if (this.reads.succeeded()) this.#events.recovered("read");
    this.#update();
  }

  writeSucceeded(): void {
    if (this.writes.succeeded()) this.#events.recovered("write");
    this.readSucceeded();
  }

  #failed(operation: "read" | "write", error: SharedStoreError): void {
    this.#update();
    this.#events.failed(operation, error);
  }

  #update(): void {
    const state = this.reads.error ? "away" : this.writes.error ? "read-only" : "up";
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#date();
  }
}
